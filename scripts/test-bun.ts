/**
 * Runs the tests inside Bun: `npm run test:bun`, or with parts of file names. Each file has a process of its own, as
 * with `node --test`, because some keep state in modules.
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import path from 'node:path';
import { findRuntime } from '../src/cli/runtime.ts';

const AT_ONCE = 2;
/** They are about Node or about the sources, not about what runs. */
const NOT_FOR_BUN = /^test\/(transport\/node|layers|docs|bun\/.*)\.test\.ts$/;

const root = path.resolve(import.meta.dirname, '..');
const bun = findRuntime('bun');
const wanted = process.argv.slice(2);
const files = globSync('test/**/*.test.ts', { cwd: root })
  .filter((file) => !NOT_FOR_BUN.test(file) && (wanted.length === 0 || wanted.some((part) => file.includes(part))))
  .sort();
const totals = { pass: 0, skip: 0, fail: 0 };
let failedFiles = 0;

async function run(file: string): Promise<void> {
  const child = spawn(bun, ['test', `./${file}`, '--timeout', '120000'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const count = (what: keyof typeof totals): number =>
    Number(new RegExp(`^ *(\\d+) ${what}$`, 'm').exec(output)?.[1] ?? 0);
  for (const what of ['pass', 'skip', 'fail'] as const) totals[what] += count(what);
  console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${file}: ${count('pass')} pass, ${count('skip')} skip`);
  if (code === 0) return;
  failedFiles++;
  console.log(output.replaceAll(/^\(pass\).*\n/gm, ''));
}

async function work(): Promise<void> {
  for (let file = files.shift(); file !== undefined; file = files.shift()) await run(file);
}

await Promise.all(Array.from({ length: AT_ONCE }, work));
console.log(`${totals.pass} pass, ${totals.skip} skip, ${totals.fail} fail in Bun`);
process.exitCode = failedFiles > 0 ? 1 : 0;
