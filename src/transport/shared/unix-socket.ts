import { lstatSync, rmSync } from 'node:fs';
import { errorMessage, systemErrorCode, TowpathError } from '../../base/errors.ts';

/** Read and write for the owner and the group. */
const NO_ACCESS_FOR_OTHERS = 0o117;

/**
 * Listens on a Unix socket that its owner and group may use. The socket file of a process that has ended is replaced:
 * `connect` tries to connect to it. `bind` must create the file before it returns. Throws a TowpathError that says why
 * the path cannot be used.
 */
export async function bindUnixSocket<T>(
  path: string,
  connect: (path: string) => Promise<unknown>,
  bind: (path: string) => T | Promise<T>,
): Promise<T> {
  await removeStale(path, connect);
  const before = process.umask(NO_ACCESS_FOR_OTHERS);
  let bound: T | Promise<T>;
  try {
    bound = bind(path);
  } catch (error) {
    throw socketError(path, error);
  } finally {
    process.umask(before);
  }
  try {
    return await bound;
  } catch (error) {
    throw socketError(path, error);
  }
}

/** Removes a socket on which no process listens. A file of another kind stays, and the kernel refuses the path. */
async function removeStale(path: string, connect: (path: string) => Promise<unknown>): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  try {
    await connect(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ECONNREFUSED') rmSync(path, { force: true });
  }
}

function socketError(path: string, error: unknown): TowpathError {
  const hints: Readonly<Record<string, string>> = {
    EADDRINUSE: 'Another process listens there, or there is a file with this name: choose another path.',
    EACCES: 'Allow the user that runs towpath to write into the folder, or choose another path.',
    ENOENT: 'Make the folder first.',
  };
  const code = systemErrorCode(error);
  const hint = hints[code];
  const why = code === '' ? errorMessage(error) : code;
  return new TowpathError('TOWPATH_LISTEN_UNIX', `Cannot listen on the Unix socket ${path}: ${why}.`, {
    ...(hint === undefined ? {} : { hint }),
    cause: error,
  });
}
