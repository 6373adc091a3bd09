import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { isInsideExecutable } from '../base/compiled.ts';
import { TowpathError } from '../base/errors.ts';

/** The JavaScript runtimes. */
export type RuntimeName = 'node' | 'bun';

/** The runtimes that `serve --runtime` takes. */
export const RUNTIMES: readonly RuntimeName[] = ['node', 'bun'];

/**
 * Continues in the runtime `wanted`. When this process runs in another one, the process is replaced (exec), with the
 * same process id, descriptors, signals and output, and this function does not return. Throws a TowpathError when this is
 * not possible.
 */
export function continueIn(wanted: RuntimeName, argv: readonly string[] = process.argv): void {
  if (wanted === currentRuntime()) return;
  const [, script = ''] = argv;
  if (isInsideExecutable(import.meta.url) || isInsideExecutable(script)) {
    throw new TowpathError('TOWPATH_RUNTIME', `This executable contains Bun and cannot run in ${wanted}.`, {
      hint: 'Remove --runtime, or install towpath with npm.',
    });
  }
  const program = findRuntime(wanted);
  if (process.execve === undefined) {
    throw new TowpathError('TOWPATH_RUNTIME', 'On this system, a process cannot switch to another runtime.', {
      hint: `Start ${program} ${script} directly.`,
    });
  }
  if (process.env['LISTEN_PID'] === String(process.pid)) {
    throw new TowpathError('TOWPATH_RUNTIME', 'Sockets from systemd are lost when the runtime changes.', {
      hint: `In ExecStart=, start ${program} ${script} directly, without --runtime.`,
    });
  }
  process.execve(program, [program, script, ...withoutRuntime(argv.slice(2))], process.env);
}

/** Returns the command that started this process: the program and all its arguments. */
export function ownCommand(argv: readonly string[] = process.argv): string[] {
  const [, script = '', ...args] = argv;
  const isCompiled = isInsideExecutable(import.meta.url) || isInsideExecutable(script);
  return [process.execPath, ...(isCompiled ? [] : [...process.execArgv, script]), ...args];
}

function currentRuntime(): RuntimeName {
  return 'bun' in process.versions ? 'bun' : 'node';
}

/**
 * Returns the path of a runtime's program. Bun comes with the npm package `bun`; Node with the package `node` or from
 * the PATH. Throws a TowpathError when it is not installed.
 */
export function findRuntime(name: RuntimeName): string {
  const found = fromPackage(name) ?? (name === 'node' ? fromPath('node') : null);
  if (found !== null) return found;
  throw new TowpathError('TOWPATH_RUNTIME', `${name === 'bun' ? 'Bun' : 'Node'} is not installed.`, {
    hint:
      name === 'bun'
        ? 'Install the npm package bun next to towpath, in the version in its package.json.'
        : 'Install Node.js 24.11 or newer, so that "node" is found.',
  });
}

function fromPackage(name: RuntimeName): string | null {
  const file = name === 'bun' ? 'bun.exe' : 'node';
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    const program = path.join(path.dirname(manifest), 'bin', file);
    return existsSync(program) ? program : null;
  } catch {
    return null;
  }
}

function fromPath(file: string): string | null {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  return folders.map((folder) => path.join(folder, file)).find((program) => existsSync(program)) ?? null;
}

/** Returns the arguments without `--runtime`, for the process that already runs in it. */
function withoutRuntime(args: readonly string[]): string[] {
  return args.filter(
    (arg, i) => arg !== '--runtime' && !arg.startsWith('--runtime=') && (i === 0 || args[i - 1] !== '--runtime'),
  );
}
