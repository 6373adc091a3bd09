import { errorMessage } from '../base/errors.ts';
import { createNoCalls } from './none.ts';
import type { Pointer, SystemCalls } from './port.ts';

/** What this adapter uses of `node:ffi`, which @types/node 24 does not have. */
interface NodeFfi {
  dlopen(
    library: null,
    functions: Readonly<Record<string, { readonly arguments: readonly string[]; readonly return: string }>>,
  ): { readonly functions: Readonly<Record<string, unknown>> };
  getRawPointer(buffer: ArrayBuffer): bigint;
  toArrayBuffer(pointer: bigint, length: number, copy: boolean): ArrayBuffer;
}

type Call = (...values: readonly (number | bigint | null)[]) => number;

const SIGNATURES = {
  socket: ['int32', 'int32', 'int32'],
  bind: ['int32', 'pointer', 'uint32'],
  setsockopt: ['int32', 'int32', 'int32', 'pointer', 'uint32'],
  getsockopt: ['int32', 'int32', 'int32', 'pointer', 'pointer'],
  getsockname: ['int32', 'pointer', 'pointer'],
  recvmmsg: ['int32', 'pointer', 'uint32', 'int32', 'pointer'],
  sendmmsg: ['int32', 'pointer', 'uint32', 'int32'],
  eventfd: ['uint32', 'int32'],
  read: ['int32', 'pointer', 'uint64'],
  write: ['int32', 'pointer', 'uint64'],
  // nfds_t has 64 bits, but the kernel's own call takes 32 of them.
  poll: ['pointer', 'uint32', 'int32'],
  close: ['int32'],
} as const;

const ERRNO_BYTES = 4;

/** The system calls by `node:ffi` (Node 26 and later), for the thread that calls this. Never throws. */
export function createNodeCalls(): SystemCalls {
  const ffi = process.getBuiltinModule('node:ffi') as unknown as NodeFfi | undefined;
  if (ffi === undefined) return createNoCalls(`Node ${process.versions.node} has no node:ffi, Node 26 has`);
  try {
    return load(ffi);
  } catch (error) {
    return createNoCalls(`node:ffi cannot be used: ${errorMessage(error)}`);
  }
}

function load(ffi: NodeFfi): SystemCalls {
  const functions: Record<string, { arguments: readonly string[]; return: string }> = {
    __errno_location: { arguments: [], return: 'pointer' },
  };
  for (const [name, parameters] of Object.entries(SIGNATURES)) {
    functions[name] = { arguments: parameters, return: 'int32' };
  }
  const c = ffi.dlopen(null, functions).functions as Record<keyof typeof SIGNATURES, Call> & {
    __errno_location: () => bigint;
  };
  // The C library keeps one errno per thread, so that its address is asked for once.
  const errno = new Int32Array(ffi.toArrayBuffer(c.__errno_location(), ERRNO_BYTES, false));
  return {
    adapter: 'node:ffi',
    unavailable: null,
    addressOf: (buffer) => ffi.getRawPointer(buffer),
    pointer: (address): Pointer => address,
    errno: () => errno[0]!,
    socket: c.socket,
    bind: c.bind,
    setsockopt: c.setsockopt,
    getsockopt: c.getsockopt,
    getsockname: c.getsockname,
    recvmmsg: c.recvmmsg,
    sendmmsg: c.sendmmsg,
    eventfd: c.eventfd,
    read: (fd, bytes, length) => c.read(fd, bytes, BigInt(length)),
    write: (fd, bytes, length) => c.write(fd, bytes, BigInt(length)),
    poll: c.poll,
    close: c.close,
  };
}
