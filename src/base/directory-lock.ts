import { readlinkSync, rmSync, statSync, utimesSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { errorMessage, systemErrorCode, TowpathError } from './errors.ts';
import { readSmallFile } from './file-stamp.ts';
import { writePrivateFile } from './private-file.ts';
import { readSystemFile } from './proc-file.ts';

const FILE = 'lock';
const LIMIT_BYTES = 4096;
/** How often the holder has to call {@link DirectoryLock.touch}. */
export const TOUCH_MS = 5000;
/** A lock of a process that cannot be checked, for example in another container, is valid until it is this old. */
const STALE_MS = 20_000;

/** The process that holds a lock. Unknown texts are empty. */
interface Holder {
  readonly pid: number;
  /** Start time of the process, in the kernel's own unit. */
  readonly startedAt: string;
  /** The boot of the machine and the namespace that the process id belongs to. */
  readonly world: string;
  /** Different for each lock that was ever taken. */
  readonly token: string;
}

/**
 * Reserves a directory for one process, by a file in it. The lock of an ended process is not valid: on the same machine
 * that is known at once, elsewhere (a container, a network file system) after 20 s without a touch.
 */
export class DirectoryLock {
  readonly #path: string;
  readonly #text: string;

  private constructor(path: string, text: string) {
    this.#path = path;
    this.#text = text;
  }

  /**
   * Locks the directory, and creates it when it is missing. Throws a TowpathError when another process has locked it or
   * it cannot be written. `setting` is the configuration key of the directory.
   */
  static take(directory: string, setting: string): DirectoryLock {
    const path = join(directory, FILE);
    const text = JSON.stringify(ownEntry());
    try {
      writePrivateFile(path, text, { replace: false });
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw unwritable(directory, setting, error);
      const holder = readHolder(path);
      if (isAlive(holder, path)) throw taken(directory, setting, holder);
      try {
        writePrivateFile(path, text, { replace: true });
      } catch (second) {
        throw unwritable(directory, setting, second);
      }
    }
    return new DirectoryLock(path, text);
  }

  /**
   * Shows other processes that this one still runs. Returns false when this process has lost the lock. Never throws.
   */
  touch(now: number = Date.now()): boolean {
    try {
      if (!this.#isOurs()) return false;
      utimesSync(this.#path, now / 1000, now / 1000);
      return true;
    } catch {
      return false;
    }
  }

  /** Unlocks the directory. Never throws. */
  release(): void {
    try {
      if (this.#isOurs()) rmSync(this.#path, { force: true });
    } catch {
      // A file that stays is not valid once the process has ended.
    }
  }

  #isOurs(): boolean {
    return readSmallFile(this.#path, LIMIT_BYTES) === this.#text;
  }
}

function ownEntry(): Holder {
  const { pid } = process;
  return { pid, startedAt: startOf(pid), world: processWorld(), token: randomBytes(8).toString('hex') };
}

/** Returns the boot id and the process id namespace, where the system has them. */
function processWorld(): string {
  try {
    return `${readSystemFile('/proc/sys/kernel/random/boot_id')?.trim() ?? ''} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return '';
  }
}

/**
 * Returns field 22 of `/proc/PID/stat`, which comes after the program name with any characters. Empty when there is no
 * such process.
 */
function startOf(pid: number): string {
  const stat = readSystemFile(`/proc/${pid}/stat`) ?? '';
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

/** Null when the file cannot be read or is not one of ours. */
function readHolder(path: string): Holder | null {
  try {
    const found: unknown = JSON.parse(readSmallFile(path, LIMIT_BYTES));
    if (typeof found !== 'object' || found === null) return null;
    const { pid, startedAt, world, token } = found as Partial<Holder>;
    if (typeof pid !== 'number' || typeof startedAt !== 'string') return null;
    if (typeof world !== 'string' || typeof token !== 'string') return null;
    return { pid, startedAt, world, token };
  } catch {
    return null;
  }
}

function isAlive(holder: Holder | null, path: string): boolean {
  const world = processWorld();
  if (holder !== null && world !== '' && holder.world === world) return startOf(holder.pid) === holder.startedAt;
  try {
    return Math.abs(Date.now() - statSync(path).mtimeMs) < STALE_MS;
  } catch {
    return false;
  }
}

function taken(directory: string, setting: string, holder: Holder | null): TowpathError {
  const who = holder === null ? 'another process' : `process ${holder.pid}`;
  return new TowpathError('TOWPATH_DIRECTORY_TAKEN', `${directory} is in use by ${who}`, {
    hint: `Stop that process first, or give each relay a directory of its own with ${setting}.`,
  });
}

function unwritable(directory: string, setting: string, error: unknown): TowpathError {
  return new TowpathError('TOWPATH_DIRECTORY', `${directory} cannot be written: ${errorMessage(error)}`, {
    hint: `Name a directory that this user may write to with ${setting}.`,
    cause: error,
  });
}
