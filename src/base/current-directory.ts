import { resolve } from 'node:path';
import { TowpathError } from './errors.ts';

/** The absolute form of `path`. Throws `TOWPATH_USAGE` when it is relative and the current directory has been deleted. */
export function fromCurrentDirectory(path: string): string {
  try {
    return resolve(path);
  } catch (error) {
    throw new TowpathError('TOWPATH_USAGE', `${path} is a relative path, and the current directory has been deleted`, {
      hint: 'Change to a directory that exists, or give the whole path.',
      cause: error,
    });
  }
}
