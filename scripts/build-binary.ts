/**
 * Builds one executable that contains Bun and towpath: `npm run build:binary`, or with a file name to put it elsewhere
 * than in build/, which npm does not pack.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { findRuntime } from '../src/cli/runtime.ts';

const root = path.resolve(import.meta.dirname, '..');
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
const output = path.resolve(process.argv[2] ?? path.join(root, 'build', 'towpath'));
const main = path.join(root, 'src', 'main.ts');
const commit = spawnSync('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: root, encoding: 'utf8' }).stdout.trim();
const defines = { TOWPATH_VERSION: version, TOWPATH_COMMIT: commit };
const define = Object.entries(defines).flatMap(([name, text]) => ['--define', `${name}=${JSON.stringify(text)}`]);
// A thread of `towpath load` starts with a module of its own, which no import names.
const worker = path.join(root, 'src', 'tools', 'load', 'worker.ts');
// So does the thread of the UDP door.
const udpThread = path.join(root, 'src', 'relay', 'udp', 'thread.ts');
execFileSync(findRuntime('bun'), ['build', '--compile', ...define, main, worker, udpThread, '--outfile', output], {
  cwd: root,
  stdio: 'inherit',
});
