import type * as Ffi from 'bun:ffi';
import { errorMessage } from '../base/errors.ts';
import { callsOf, ERRNO_BYTES, LIBC, type LibcFunctions } from './libc.ts';
import { createNoCalls } from './none.ts';
import type { Pointer, SystemCalls } from './port.ts';

/** The libraries of glibc and of musl: Bun needs the name of a library. */
const LIBRARIES = ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1'];

/** Loads the system calls by `bun:ffi`, for the thread that calls this. Never rejects. */
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
  for (const [name, parameters] of Object.entries(LIBC)) symbols[name] = { args: parameters, returns: 'i32' };
  const c = ffi.dlopen(library, symbols).symbols as LibcFunctions<number>;
  return callsOf(c, ffi.toArrayBuffer(c.__errno_location(), 0, ERRNO_BYTES), {
    adapter: 'bun:ffi',
    addressOf: (buffer) => BigInt(ffi.ptr(buffer)),
    pointer: (address): Pointer => Number(address),
    read: c.read,
    write: c.write,
    recvmmsg: c.recvmmsg,
    sendmmsg: c.sendmmsg,
    poll: c.poll,
  });
}
