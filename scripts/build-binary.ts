/**
 * Builds one executable that contains Bun and towpath: `npm run build:binary`, or with a file name to put it elsewhere
 * than in build/, which npm does not pack.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { findRuntime } from '../src/cli/runtime.ts';

const root = path.resolve(import.meta.dirname, '..');
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
const output = path.resolve(process.argv[2] ?? path.join(root, 'build', 'towpath'));
const main = path.join(root, 'src', 'main.ts');
const define = `TOWPATH_VERSION=${JSON.stringify(version)}`;
// A thread of `towpath load` starts with a module of its own, which no import names.
const worker = path.join(root, 'src', 'tools', 'load', 'worker.ts');
// So does the thread of the UDP door.
const udpThread = path.join(root, 'src', 'relay', 'udp', 'thread.ts');
execFileSync(
  findRuntime('bun'),
  ['build', '--compile', '--define', define, main, worker, udpThread, '--outfile', output],
  {
    cwd: root,
    stdio: 'inherit',
  },
);
