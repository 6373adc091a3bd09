/**
 * Tests the status page and a load report in a real browser: `npm run test:page`, or with numbers of clients. It opens the page
 * with 3, 300 and 10,000 clients, light, dark and 360 pixels wide, checks what only a browser can check, and writes
 * pictures to build/screenshots. Needs the Debian package chromium.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { TestRelay } from '../service/support.ts';
import { Browser } from './browser.ts';
import { checkLoadReport } from './load-report.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const PICTURES = path.join(ROOT, 'build', 'screenshots');
const MEASURED_MS = 10_000;

/** Starts a process with clients; resolves when all are connected. */
async function startClients(relay: TestRelay, count: number): Promise<ChildProcess> {
  const url = `http://127.0.0.1:${relay.port}/derp`;
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'clients.ts'), url, String(count)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('ready')) resolve();
    });
    child.once('exit', () => reject(new Error(`the clients ended: ${output}`)));
  });
  return child;
}

/** Returns the processor time of this process, which is the relay, during `ms`, as a share of one core. */
async function cpuShare(ms: number): Promise<number> {
  const before = process.cpuUsage();
  const startedAt = performance.now();
  await new Promise((resolve) => setTimeout(resolve, ms));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / (performance.now() - startedAt);
}

async function look(browser: Browser, count: number): Promise<void> {
  const relay = await TestRelay.start({
    TOWPATH_TRANSPORT: 'plain',
    TOWPATH_PROXY_TRUSTED: '127.0.0.1',
    TOWPATH_LOG_LEVEL: 'error',
  });
  const clients = await startClients(relay, count);
  try {
    (await relay.tcp()).end('no HTTP\r\n\r\n');
    const url = `http://127.0.0.1:${relay.relay.addresses.admin!.port}/`;
    await browser.look(1280, 900, 'light');
    const before = await cpuShare(MEASURED_MS);
    await browser.open(url);
    await browser.until(`document.querySelectorAll('#panel tbody tr').length >= ${Math.min(count, 50)}`);
    const paintMs = await browser.evaluate<number>(
      `performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1`,
    );
    const rowsMs = await browser.evaluate<number>('performance.now()');
    const during = await cpuShare(MEASURED_MS);
    const later = await cpuShare(MEASURED_MS);
    console.log(
      `${count} clients: first paint ${Math.round(paintMs)} ms, rows within ${Math.round(rowsMs)} ms, ` +
        `the relay uses ${(100 * before).toFixed(1)} % of a core without a viewer, ${(100 * during).toFixed(1)} % with one at first, ${(100 * later).toFixed(1)} % later`,
    );
    await browser.until(`document.querySelector('canvas') !== null`);
    await check(browser, count);
    for (const colors of ['light', 'dark'] as const) {
      await browser.look(1280, 900, colors);
      await browser.evaluate('new Promise((resolve) => setTimeout(resolve, 400))');
      await browser.picture(path.join(PICTURES, `${count}-${colors}.png`), true);
    }
    await browser.look(360, 780, 'light');
    await browser.evaluate('new Promise((resolve) => setTimeout(resolve, 400))');
    assert.equal(
      await browser.evaluate<boolean>('document.documentElement.scrollWidth <= 360'),
      true,
      'fits in 360 px',
    );
    await browser.picture(path.join(PICTURES, `${count}-360.png`), false);
    await browser.print(path.join(PICTURES, `${count}-print.pdf`));
    if (count === 300) await otherTables(browser);
  } finally {
    clients.stdin?.end();
    await relay.stop();
  }
}

async function check(browser: Browser, count: number): Promise<void> {
  const origin = await browser.evaluate<string>('location.origin');
  const foreign = browser.requests.filter((url) => /^https?:/.test(url) && !url.startsWith('http://127.0.0.1:'));
  assert.deepEqual(foreign, [], `requests beyond ${origin}`);
  assert.deepEqual(browser.complaints, [], 'errors, and what the content security policy has blocked');
  const rows = `[...document.querySelectorAll('#panel tbody tr')]`;
  await browser.key('/');
  assert.equal(await browser.evaluate<string>('document.activeElement.type'), 'search');
  await browser.evaluate(`(() => { const search = document.activeElement; search.value = 'nothing has this name';
    search.dispatchEvent(new Event('input')); })()`);
  await browser.until(`document.querySelector('#panel').textContent.includes('No connection fits the search')`);
  await browser.evaluate(`(() => { const search = document.activeElement; search.value = '';
    search.dispatchEvent(new Event('input')); search.blur(); })()`);
  await browser.until(`${rows}.length >= ${Math.min(count, 50)}`);
  if (count > 50) {
    await browser.key('ArrowRight');
    await browser.until(`document.querySelector('#panel').textContent.includes('page 2 of')`);
    await browser.key('ArrowLeft');
    await browser.until(`document.querySelector('#panel').textContent.includes('page 1 of')`);
  }
  await hostileOwner(browser);
  await browser.evaluate(`${rows}[0].focus()`);
  const focused = `document.activeElement.dataset.id`;
  const id = await browser.evaluate<string>(focused);
  await browser.evaluate('new Promise((resolve) => setTimeout(resolve, 4500))');
  assert.equal(await browser.evaluate<string>(focused), id, 'the focus stays on its connection');
  await browser.evaluate(`document.querySelector('#numbers a').click()`);
  await browser.until(`document.querySelector('[role=tab][aria-selected=true]').textContent === 'Refusals'`);
  await browser.key('1');
  await browser.until(`${rows}.length >= ${Math.min(count, 50)}`);
  await browser.evaluate(`${rows}[0].click()`);
  await browser.until(`document.querySelector('dialog[open]')?.textContent.includes('node key')`);
  await browser.evaluate(`document.querySelector('dialog').close()`);
  await browser.evaluate('document.activeElement.blur()');
}

/** Checks names from strangers: the page shows them as text, and they do not change the layout of the table. */
async function hostileOwner(browser: Browser): Promise<void> {
  const wide = await browser.evaluate<boolean>(`(() => {
    const row = document.querySelector('#panel tbody tr').cloneNode(true);
    const name = document.createElement('bdi');
    name.className = 'name';
    name.textContent = '\u202e<img src=x onerror=alert(1)>' + 'W'.repeat(10000);
    row.firstElementChild.replaceChildren(name);
    document.querySelector('#panel tbody').append(row);
    const isWide = document.documentElement.scrollWidth > innerWidth;
    row.remove();
    return isWide;
  })()`);
  assert.equal(wide, false, 'a name of 10,000 characters does not make the page wide');
}

async function otherTables(browser: Browser): Promise<void> {
  await browser.look(1280, 900, 'light');
  for (const [i, name] of [
    'refusals',
    'udp-relay',
    'mesh',
    'threads',
    'admission',
    'certificate',
    'limits',
  ].entries()) {
    await browser.key(String(i + 2));
    await browser.until(`location.hash === '#${name}' && document.querySelector('#panel .card') !== null`);
    await browser.picture(path.join(PICTURES, `table-${name}.png`), true);
  }
}

mkdirSync(PICTURES, { recursive: true });
const reader = await Browser.start();
try {
  await checkLoadReport(reader, PICTURES);
} finally {
  await reader.close();
}
const counts = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [3, 300, 10_000];
for (const count of counts) {
  const browser = await Browser.start();
  try {
    await look(browser, count);
  } finally {
    await browser.close();
  }
}
console.log(`pictures: ${PICTURES}`);
process.exit(0);
