import { closeSync, constants, fstatSync, openSync, readSync, statSync, type Stats } from 'node:fs';
import { systemErrorCode } from './errors.ts';

const CHUNK_BYTES = 64 * 1024;
const MEBIBYTE = 1024 * 1024;
/** Windows has neither the flag nor files that block on opening. */
const NONBLOCKING = (constants as Readonly<Record<string, number>>)['O_NONBLOCK'] ?? 0;

/** The stamp of files that could not be read. No file has it, so the next check reads them again. */
export const NEVER_READ = 'never read';

/**
 * Returns a text that changes whenever one of the files or its access rights change. It follows symbolic links, and
 * contains the inode, which differs after a swap to files of equal size and time. Take it before reading: the next
 * check then notices a change in between. After a failed read keep {@link NEVER_READ} instead: the stamp may not show
 * the cause, such as the rights of the user that runs towpath.
 */
export function fileStamp(...paths: readonly string[]): string {
  return paths.map(stampOf).join(' ');
}

function stampOf(path: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(':');
  } catch (error) {
    return systemErrorCode(error);
  }
}

/** {@link readSmallBytes} as UTF-8. */
export function readSmallFile(path: string, limitBytes: number): string {
  return readSmallBytes(path, limitBytes).toString('utf8');
}

/**
 * Reads a descriptor of this process, such as `/dev/stdin`, to its end, as UTF-8. It waits for the writer of a pipe.
 */
export function readSmallPipe(path: string, limitBytes: number): string {
  const descriptor = openSync(path, constants.O_RDONLY);
  try {
    return readWithin(descriptor, limitBytes).toString('utf8');
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Reads a file of up to `limitBytes` bytes. It never waits: a named pipe without a writer would stop the whole process.
 * Throws the system's error, or an error that says why this is not a regular file.
 */
export function readSmallBytes(path: string, limitBytes: number): Buffer {
  const descriptor = openSync(path, constants.O_RDONLY | NONBLOCKING);
  try {
    const kind = kindOf(fstatSync(descriptor));
    if (kind !== null) throw new Error(`this is ${kind}, not a file`);
    return readWithin(descriptor, limitBytes);
  } finally {
    closeSync(descriptor);
  }
}

/** Returns the kind of something that is not a file, or null. Devices are allowed because of /dev/null. */
function kindOf(stats: Stats): string | null {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a named pipe';
  return stats.isFile() || stats.isCharacterDevice() ? null : 'something else';
}

/** Reads to the end, because the stated size of a file is 0 in /proc, and wrong while a program writes to it. */
function readWithin(descriptor: number, limitBytes: number): Buffer {
  const chunks: Buffer[] = [];
  let size = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, limitBytes + 1 - size));
    const count = readSync(descriptor, chunk);
    if (count === 0) return Buffer.concat(chunks);
    chunks.push(chunk.subarray(0, count));
    size += count;
    if (size > limitBytes) throw new Error(`it is longer than ${limitBytes / MEBIBYTE} MiB`);
  }
}
