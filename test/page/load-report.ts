import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { htmlReport } from '../../src/tools/load/html-report.ts';
import { examplePlan, exampleResult } from '../tools/load/support.ts';
import type { Browser } from './browser.ts';

/** Opens a load report of two classes in the browser, and checks that it draws its plots and makes no request. */
export async function checkLoadReport(browser: Browser, folder: string): Promise<void> {
  const file = path.join(folder, 'load-report.html');
  writeFileSync(file, htmlReport(twoClasses(), []));
  await browser.look(1280, 900, 'light');
  const { href } = pathToFileURL(file);
  await browser.open(href);
  await browser.until(`document.querySelectorAll('figure canvas').length > 0`);
  assert.equal(
    await browser.evaluate<number>(`document.querySelectorAll('figure canvas').length`),
    await browser.evaluate<number>(`document.querySelectorAll('figure').length`),
  );
  assert.deepEqual(
    browser.requests.filter((url) => url !== href && !url.startsWith('data:')),
    [],
  );
  assert.deepEqual(browser.complaints, []);
  await browser.picture(path.join(folder, 'load-report-light.png'), true);
  await browser.look(1280, 900, 'dark');
  await browser.picture(path.join(folder, 'load-report-dark.png'), true);
  await browser.look(360, 780, 'light');
  await browser.until(`document.querySelector('canvas').clientWidth <= 360`);
  assert.equal(await browser.evaluate<boolean>('document.documentElement.scrollWidth <= 360'), true, 'fits in 360 px');
  await browser.picture(path.join(folder, 'load-report-360.png'), false);
  await browser.print(path.join(folder, 'load-report-print.pdf'));
}

/** A result of 300 points: a wave, with a hole in the latency. */
function twoClasses(): ReturnType<typeof exampleResult> {
  const [pairs] = exampleResult().classes;
  const point = exampleResult().timeline[0]!;
  const names = ['polite', 'greedy'] as const;
  const timeline = Array.from({ length: 300 }, (_, i) => {
    const rate = 20_000 + 5000 * Math.sin(i / 20);
    const classes = names.map((name, index) => ({
      name,
      sentPerSecond: rate * (index * 9 + 1),
      deliveredPerSecond: rate * (index * 8 + 1),
      p50Ms: i > 100 && i < 110 ? null : 1 + index + Math.abs(Math.sin(i / 9)),
      p99Ms: i > 100 && i < 110 ? null : 4 + index * 3 + Math.abs(Math.cos(i / 9)),
    }));
    const connections = { ...point.connections, open: Math.min(i, 40) };
    return { ...point, atSeconds: (i + 1) / 2, classes, connections, serverRssBytes: (60 + i / 10) * 2 ** 20 };
  });
  const plan = examplePlan('https://relay.example/derp', { scenario: 'fairness', warmUpMs: 10_000 });
  return exampleResult({ plan, classes: names.map((name) => ({ ...pairs!, name })), timeline });
}
