/** Runs the cases, some at a time, and prints `N passed, N failed`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from '../../free-port.ts';
import { MockDns } from './authority.ts';
import { issuing } from './issuing.ts';
import { renewing } from './renewing.ts';
import { failing } from './failing.ts';
import type { Case, Stage } from './stage.ts';

/** Number of cases at the same time: they mostly wait. */
const AT_ONCE = 2 * availableParallelism();

const pattern = new RegExp(process.argv[2] ?? '');
const root = mkdtempSync(path.join(tmpdir(), 'towpath-acme-'));
// The renewals first: some of them take longest.
const cases = [...renewing, ...failing, ...issuing].filter(({ name }) => pattern.test(name));
let failed = 0;
let passed = 0;

async function runCase({ name, run }: Case): Promise<void> {
  const ends: (() => unknown)[] = [];
  const startedAt = performance.now();
  try {
    const folder = mkdtempSync(path.join(root, 'case-'));
    const [http, tls] = [await freePort(), await freePort()];
    const dns = await MockDns.start();
    ends.push(() => dns.stop());
    const stage: Stage = { folder, dns, ports: { http, tls }, atEnd: (end) => ends.push(end) };
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

const waiting = cases.values();
async function work(): Promise<void> {
  for (const one of waiting) await runCase(one);
}
await Promise.all(Array.from({ length: AT_ONCE }, work));

rmSync(root, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
