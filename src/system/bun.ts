import type * as Ffi from 'bun:ffi';
import { errorMessage } from '../base/errors.ts';
import { createNoCalls } from './none.ts';
import type { Pointer, SystemCalls } from './port.ts';

type Call = (...values: readonly (number | bigint | null)[]) => number;

const SIGNATURES = {
  socket: ['i32', 'i32', 'i32'],
  bind: ['i32', 'ptr', 'u32'],
  setsockopt: ['i32', 'i32', 'i32', 'ptr', 'u32'],
  getsockopt: ['i32', 'i32', 'i32', 'ptr', 'ptr'],
  getsockname: ['i32', 'ptr', 'ptr'],
  recvmmsg: ['i32', 'ptr', 'u32', 'i32', 'ptr'],
  sendmmsg: ['i32', 'ptr', 'u32', 'i32'],
  eventfd: ['u32', 'i32'],
  read: ['i32', 'ptr', 'u64'],
  write: ['i32', 'ptr', 'u64'],
  // nfds_t has 64 bits, but the kernel's own call takes 32 of them.
  poll: ['ptr', 'u32', 'i32'],
  close: ['i32'],
} as const;

/** glibc, then musl: Bun wants the name of a library. */
const LIBRARIES = ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1'];
const ERRNO_BYTES = 4;

/** The system calls by `bun:ffi`, for the thread that calls this. Never rejects. */
export async function createBunCalls(): Promise<SystemCalls> {
  let reason = '';
  try {
    const ffi = await import('bun:ffi');
    for (const library of LIBRARIES) {
      try {
        return load(ffi, library);
      } catch (error) {
        reason ||= errorMessage(error);
      }
    }
  } catch (error) {
    reason = errorMessage(error);
  }
  return createNoCalls(`bun:ffi cannot be used: ${reason}`);
}

function load(ffi: typeof Ffi, library: string): SystemCalls {
  const symbols: Record<string, { args: readonly string[]; returns: string }> = {
    __errno_location: { args: [], returns: 'ptr' },
  };
  for (const [name, parameters] of Object.entries(SIGNATURES)) symbols[name] = { args: parameters, returns: 'i32' };
  const c = ffi.dlopen(library, symbols).symbols as Record<keyof typeof SIGNATURES, Call> & {
    __errno_location: () => number;
  };
  // The C library keeps one errno per thread, so that its address is asked for once.
  const errno = new Int32Array(ffi.toArrayBuffer(c.__errno_location(), 0, ERRNO_BYTES));
  return {
    adapter: 'bun:ffi',
    unavailable: null,
    addressOf: (buffer) => BigInt(ffi.ptr(buffer)),
    pointer: (address): Pointer => Number(address),
    errno: () => errno[0]!,
    socket: c.socket,
    bind: c.bind,
    setsockopt: c.setsockopt,
    getsockopt: c.getsockopt,
    getsockname: c.getsockname,
    recvmmsg: c.recvmmsg,
    sendmmsg: c.sendmmsg,
    eventfd: c.eventfd,
    read: c.read,
    write: c.write,
    poll: c.poll,
    close: c.close,
  };
}
