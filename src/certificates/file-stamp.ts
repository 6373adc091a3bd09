import { statSync } from 'node:fs';
import { systemErrorCode } from '../errors.ts';

/**
 * Text that changes whenever one of the files does. It follows symbolic links, and the inode catches a swap to files
 * of equal size and time.
 */
export function fileStamp(...paths: readonly string[]): string {
  return paths.map(stampOf).join(' ');
}

function stampOf(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs}:${size}:${ino}`;
  } catch (error) {
    return systemErrorCode(error);
  }
}
