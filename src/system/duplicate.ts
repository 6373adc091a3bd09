import { F_DUPFD_CLOEXEC, SystemCallError } from './linux.ts';
import type { SystemCalls } from './port.ts';

/** No duplicate takes the number of a standard stream. */
const LOWEST_FD = 3;

/**
 * Returns a second descriptor of what `fd` is open on. It is closed by itself, and no child process gets it. Throws a
 * {@link SystemCallError} when there is none.
 */
export function duplicateDescriptor(calls: Pick<SystemCalls, 'fcntl' | 'errno'>, fd: number): number {
  const duplicate = calls.fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_FD);
  if (duplicate < 0) throw new SystemCallError('fcntl', calls.errno());
  return duplicate;
}
