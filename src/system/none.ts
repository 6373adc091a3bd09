import { Errno } from './linux.ts';
import type { SystemCalls } from './port.ts';

/**
 * Returns the adapter for a machine without system calls: each call fails with ENOSYS. `reason` says why, as text for
 * the log.
 */
export function createNoCalls(reason: string): SystemCalls {
  const fail = (): number => -1;
  return {
    adapter: 'none',
    unavailable: reason,
    addressOf: () => 0n,
    pointer: (address) => address,
    errno: () => Errno.ENOSYS,
    socket: fail,
    bind: fail,
    connect: fail,
    setsockopt: fail,
    getsockopt: fail,
    getsockname: fail,
    recvmmsg: fail,
    sendmmsg: fail,
    eventfd: fail,
    read: fail,
    write: fail,
    poll: fail,
    fcntl: fail,
    usleep: fail,
    close: fail,
  };
}
