import {
  closeSync,
  fchownSync,
  lchownSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { systemErrorCode } from '../errors.ts';

/** Only the owner may read secrets and what lies beside them. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
const GROUP_OR_WORLD = 0o077;
/** File systems without hard links answer with one of these. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/**
 * Writes a file that only its owner can read, so that a crash leaves either nothing or all of it. The directory is made
 * with mode 0700 when it is missing. With `replace: false` an existing file wins and the call throws `EEXIST`.
 */
export function writePrivateFile(path: string, text: string, options: { readonly replace: boolean }): void {
  const directory = dirname(resolve(path));
  makeDirectory(directory);
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    writeAndSync(temporary, text, ownerToBe(directory));
    if (options.replace) renameSync(temporary, path);
    else linkWithoutReplacing(temporary, path);
    syncDirectory(directory);
  } finally {
    rmSync(temporary, { force: true });
  }
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** What root makes for a service belongs to the owner of the place, or the service could not read it later. */
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
    if (owner !== null) fchownSync(descriptor, owner.uid, owner.gid);
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
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
    // Nothing is lost but the guarantee.
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
