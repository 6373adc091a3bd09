import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { findRuntime } from '../../src/cli/runtime.ts';
import { UNIT_NAMES } from '../../src/tools/setup/units.ts';

/** The folder of the repository. */
export const ROOT: string = path.resolve(import.meta.dirname, '../..');

/** The version in package.json. */
export const VERSION: string = (
  JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string }
).version;

/** A processor, as Debian and OCI images call it. */
export type Architecture = 'amd64' | 'arm64';

export const ARCHITECTURES: readonly Architecture[] = ['amd64', 'arm64'];

/** Baseline: the machines that hosters rent out often hide AVX2. */
const TARGETS: Readonly<Record<Architecture, string>> = {
  amd64: 'bun-linux-x64-baseline',
  arm64: 'bun-linux-arm64',
};

/** A thread starts with a module of its own, which no import names: `towpath load`, the UDP door, the accounting, and the relay threads. */
const MODULES = [
  'src/main.ts',
  'src/tools/load/worker.ts',
  'src/relay/udp/thread.ts',
  'src/accounting/store-thread.ts',
  'src/service/threads/thread.ts',
];

/**
 * Bytecode halves the CPU time of a start, and so the time of an upgrade. It adds 10 MB. Without splitting there would be
 * a copy of everything for each module.
 */
const SHAPE = ['--bytecode', '--format=esm', '--splitting', '--minify-whitespace', '--minify-syntax'];

/**
 * Writes one executable that contains Bun and towpath to `output`. For another architecture, or any that is named, Bun
 * downloads its runtime from the npm registry the first time.
 */
export function buildExecutable(output: string, architecture?: Architecture): void {
  const target = architecture === undefined ? [] : [`--target=${TARGETS[architecture]}`];
  const commit = spawnSync('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).stdout.trim();
  const units = Object.fromEntries(
    UNIT_NAMES.map((name) => [name, readFileSync(path.join(ROOT, 'deploy/systemd', name), 'utf8')]),
  );
  const defines = { TOWPATH_VERSION: VERSION, TOWPATH_COMMIT: commit, TOWPATH_UNITS: units };
  const define = Object.entries(defines).flatMap(([name, value]) => ['--define', `${name}=${JSON.stringify(value)}`]);
  execFileSync(
    findRuntime('bun'),
    ['build', '--compile', ...target, ...SHAPE, ...define, ...MODULES, '--outfile', output],
    {
      cwd: ROOT,
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
}
