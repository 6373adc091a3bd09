import {
  closeSync,
  fchownSync,
  lchownSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import { basename, dirname, join, resolve } from 'node:path';
import { systemErrorCode } from './errors.ts';

/** Only the owner may read secrets and their directory. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
const GROUP_OR_WORLD = 0o077;
const WORLD = 0o007;
/** A temporary file that is older than this belongs to a process that was killed. */
const LEFT_BEHIND_MS = 600_000;
const TEMPORARY_ENDING = /^\.[0-9a-f]{12}\.tmp$/;
/** Errors of file systems without owners, and of file servers that do not let root change the owner. */
const NO_OWNERS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL']);
/** Errors of file systems without hard links. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/**
 * Writes a file that only its owner can read. After a crash or on a full disk, it has either the old text or all of the
 * new text. A missing directory is created with mode 0700. With `replace: false`, an existing file stays and the call
 * throws `EEXIST`. Otherwise the file is replaced; a symbolic link stays, and its target is replaced.
 */
export function writePrivateFile(path: string, text: string, options: { readonly replace: boolean }): void {
  makeDirectory(dirname(resolve(path)));
  const target = options.replace ? followLink(path) : resolve(path);
  const directory = dirname(target);
  const temporary = `${target}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    writeAndSync(temporary, text, ownerToBe(directory));
    removeLeftBehind(temporary, target);
    if (options.replace) renameSync(temporary, target);
    else linkWithoutReplacing(temporary, target);
    syncDirectory(directory);
  } catch (error) {
    // The same problem must have the same text each time, so that it is reported once. The name of the temporary file
    // would differ, and means nothing to a user.
    if (error instanceof Error) error.message = error.message.replaceAll(temporary, target);
    throw error;
  } finally {
    removeTemporary(temporary);
  }
}

function removeTemporary(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The error of the write is the one to report. The next write removes the file.
  }
}

function followLink(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // The file does not exist, or the link has no target: the write itself then reports what is wrong.
    return resolve(path);
  }
}

/** Removes temporary files of the same target that a process left when it was ended: they may hold a key. */
function removeLeftBehind(temporary: string, target: string): void {
  const [directory, name] = [dirname(target), basename(target)];
  try {
    const madeAt = statSync(temporary).mtimeMs;
    for (const entry of readdirSync(directory)) {
      if (!entry.startsWith(name) || !TEMPORARY_ENDING.test(entry.slice(name.length))) continue;
      const path = join(directory, entry);
      if (Math.abs(statSync(path).mtimeMs - madeAt) > LEFT_BEHIND_MS) rmSync(path, { force: true });
    }
  } catch {
    // The files do no harm.
  }
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Returns the owner of the directory when root runs this: a file of root could not be read by the service later. */
function ownerToBe(directory: string): Owner | null {
  return process.getuid?.() === 0 ? statSync(directory) : null;
}

function makeDirectory(directory: string): void {
  const first = mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
  if (first === undefined) return;
  const owner = ownerToBe(dirname(first));
  if (owner === null) return;
  const top = dirname(first);
  for (let made = directory; made !== top; made = dirname(made)) lchownSync(made, owner.uid, owner.gid);
}

function writeAndSync(path: string, text: string, owner: Owner | null): void {
  const descriptor = openSync(path, 'wx', FILE_MODE);
  try {
    if (owner !== null) giveTo(descriptor, owner);
    // It continues after a partial write, which is how a nearly full disk answers first.
    writeFileSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function giveTo(descriptor: number, { uid, gid }: Owner): void {
  try {
    fchownSync(descriptor, uid, gid);
  } catch (error) {
    if (!NO_OWNERS.has(systemErrorCode(error))) throw error;
  }
}

/** A hard link is the only move that refuses an existing target; two first starts at once then agree on one file. */
function linkWithoutReplacing(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if (!NO_LINKS.has(systemErrorCode(error))) throw error;
    closeSync(openSync(to, 'wx', FILE_MODE));
    renameSync(from, to);
  }
}

/** A rename survives a power cut only when the directory is on the disk too; not every file system allows this. */
function syncDirectory(directory: string): void {
  let descriptor: number;
  try {
    descriptor = openSync(directory, 'r');
  } catch {
    return;
  }
  try {
    fsyncSync(descriptor);
  } catch {
    // The file is written, but it may not survive a power cut.
  } finally {
    closeSync(descriptor);
  }
}

/** Flushes the directory of a file that was renamed into place. */
export function replaceFile(from: string, to: string): void {
  renameSync(from, to);
  syncDirectory(dirname(to));
}

/** True when others than the owner may read or change the file. */
export function isOpenToOthers(path: string): boolean {
  return (statSync(path).mode & GROUP_OR_WORLD) !== 0;
}

/** True when everybody on this machine may read or change the file: a group may have been given the right on purpose. */
export function isOpenToEveryone(path: string): boolean {
  return ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & WORLD) !== 0;
}
