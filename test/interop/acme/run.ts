/** Runs the cases one after the other and prints `N passed, N failed`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePorts, MockDns } from './authority.ts';
import { issuing } from './issuing.ts';
import { renewing } from './renewing.ts';
import { failing } from './failing.ts';
import type { Case, Stage } from './stage.ts';

const pattern = new RegExp(process.argv[2] ?? '');
const root = mkdtempSync(path.join(tmpdir(), 'towpath-acme-'));
const dns = await MockDns.start();
const [http, tls] = (await freePorts(2)) as [number, number];
let failed = 0;
let passed = 0;
for (const { name, run } of [...issuing, ...renewing, ...failing].filter(({ name }: Case) => pattern.test(name))) {
  const ends: (() => unknown)[] = [];
  const folder = mkdtempSync(path.join(root, 'case-'));
  const stage: Stage = { folder, dns, ports: { http, tls }, atEnd: (end) => ends.push(end) };
  const startedAt = performance.now();
  try {
    await run(stage);
    passed++;
    console.log(`ok      ${name} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  } finally {
    for (const end of ends.reverse()) await end();
  }
}
dns.stop();
rmSync(root, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
