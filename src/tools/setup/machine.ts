import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isInsideExecutable } from '../../base/compiled.ts';
import { systemErrorCode, TowpathError } from '../../base/errors.ts';
import type { Program } from './units.ts';

/** The parts of a machine that a set-up uses. Tests have their own machine. */
export interface Machine {
  /** Whether systemd runs this machine. */
  readonly hasSystemd: boolean;
  /** Folder for the operator's units. */
  readonly unitDirectory: string;
  /** Folders in which a package may have installed its units. */
  readonly packageUnitDirectories: readonly string[];
  /** The directory that the unit of the service makes writable. */
  readonly stateDirectory: string;
  /** The command with which this towpath was started. */
  readonly program: Program;
  /** Runs a program to its end; throws a TowpathError with what it printed. */
  run(program: string, args: readonly string[]): void;
  /** True for a configuration file that is still as the Debian package made it. */
  isUntouched(file: string): boolean;
}

/** A start that waits for the self-test takes seconds. */
const COMMAND_MS = 120_000;

/** The machine that this process runs on. */
export function thisMachine(): Machine {
  return {
    hasSystemd: existsSync('/run/systemd/system'),
    unitDirectory: '/etc/systemd/system',
    packageUnitDirectories: ['/usr/lib/systemd/system', '/lib/systemd/system'],
    stateDirectory: '/var/lib/towpath',
    program: ownProgram(),
    run,
    isUntouched,
  };
}

function ownProgram(): Program {
  const script = process.argv[1] ?? '';
  return isInsideExecutable(script) || isInsideExecutable(import.meta.url)
    ? [process.execPath]
    : [process.execPath, script];
}

function run(program: string, args: readonly string[]): void {
  try {
    execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'], timeout: COMMAND_MS });
  } catch (error) {
    const printed = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    const why = printed === '' ? systemErrorCode(error) || 'it failed' : printed;
    throw new TowpathError('TOWPATH_SETUP_COMMAND', `${[program, ...args].join(' ')}: ${why}`, {
      hint: 'The configuration is written. See "journalctl --unit towpath.service", fix it, and run the command again.',
      cause: error,
    });
  }
}

/** dpkg keeps the MD5 of each configuration file as it came with its package. */
function isUntouched(file: string): boolean {
  try {
    const list = execFileSync('dpkg-query', ['--show', '--showformat=${Conffiles}', 'towpath'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const known = list
      .split('\n')
      .find((line) => line.trim().startsWith(`${file} `))
      ?.trim()
      .split(' ')[1];
    return known !== undefined && known === createHash('md5').update(readFileSync(file)).digest('hex');
  } catch {
    // Without dpkg or the package, the file counts as the operator's.
    return false;
  }
}
