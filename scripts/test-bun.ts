/**
 * Runs the tests inside Bun: `npm run test:bun`, or with parts of file names. Each file has a process of its own, as
 * with `node --test`, because some keep state in modules.
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import path from 'node:path';
import { findRuntime } from '../src/cli/runtime.ts';

const AT_ONCE = 2;
/** Longest time of one file, in milliseconds; a file that runs longer hangs, even on a busy machine. */
const LIMIT_MS = 240_000;
/** The slowest file. It starts first, so that the others do not wait for it at the end. */
const FIRST = 'test/transport/bun.test.ts';
/** Tests of Node or of the sources. They do not depend on Bun. */
const NOT_FOR_BUN = /^test\/(transport\/node.*|layers|docs|(?:bun|bench)\/.*)\.test\.ts$/;

const root = path.resolve(import.meta.dirname, '..');
const bun = findRuntime('bun');
const wanted = process.argv.slice(2);
const files = globSync(['test/**/*.test.ts', 'examples/*.test.ts'], { cwd: root })
  .filter((file) => !NOT_FOR_BUN.test(file) && (wanted.length === 0 || wanted.some((part) => file.includes(part))))
  .sort((a, b) => Number(b === FIRST) - Number(a === FIRST) || (a < b ? -1 : 1));
const totals = { pass: 0, skip: 0, fail: 0 };
const skipped: string[] = [];
let failedFiles = 0;

async function run(file: string): Promise<void> {
  const startedAt = performance.now();
  const child = spawn(bun, ['test', `./${file}`, '--timeout', '120000'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const limit = setTimeout(() => {
    output += `\nstill running after ${LIMIT_MS / 1000} s\n`;
    child.kill('SIGKILL');
  }, LIMIT_MS);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearTimeout(limit);
  const count = (what: keyof typeof totals): number =>
    Number(new RegExp(`^ *(\\d+) ${what}$`, 'm').exec(output)?.[1] ?? 0);
  for (const what of ['pass', 'skip', 'fail'] as const) totals[what] += count(what);
  // The name is printed here, and once more in the summary.
  for (const [, name] of output.matchAll(/^\(skip\) (.*?)(?: \[.*\])?$/gm)) skipped.push(`${file}: ${name}`);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(
    `${code === 0 ? 'ok    ' : 'FAILED'} ${file}: ${count('pass')} pass, ${count('skip')} skip, ${seconds} s`,
  );
  if (code === 0) return;
  failedFiles++;
  console.log(output.replaceAll(/^\(pass\).*\n/gm, ''));
}

async function work(): Promise<void> {
  for (let file = files.shift(); file !== undefined; file = files.shift()) await run(file);
}

await Promise.all(Array.from({ length: AT_ONCE }, work));
for (const name of new Set(skipped)) console.log(`skipped ${name}`);
console.log(
  `${totals.pass} pass, ${totals.skip} skip, ${totals.fail} fail in Bun after ${Math.round(performance.now() / 1000)} s`,
);
process.exitCode = failedFiles > 0 ? 1 : 0;
