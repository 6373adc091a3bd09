import type { SystemCalls } from './port.ts';

/** A parameter of a C function: an integer with its width in bits, signed (`i`) or not (`u`), or a pointer. */
export type Parameter = 'i32' | 'u32' | 'u64' | 'ptr';

type LibcName = Exclude<keyof SystemCalls, 'adapter' | 'unavailable' | 'addressOf' | 'pointer' | 'errno'>;

/** The functions of the C library that the adapters load, with their parameters. Each returns an `i32`. */
export const LIBC: Readonly<Record<LibcName, readonly Parameter[]>> = {
  socket: ['i32', 'i32', 'i32'],
  bind: ['i32', 'ptr', 'u32'],
  connect: ['i32', 'ptr', 'u32'],
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
  // Variadic in C; on the supported architectures an integer is passed in the same way.
  fcntl: ['i32', 'i32', 'i32'],
  usleep: ['u32'],
  close: ['i32'],
};

/**
 * The functions that a runtime loads for {@link LIBC}, and `__errno_location`, whose result has the runtime's form of a
 * pointer.
 */
export type LibcFunctions<Address> = Readonly<
  Record<LibcName, (...values: readonly (number | bigint | null)[]) => number>
> & { readonly __errno_location: () => Address };

/** Bytes of the C library's `errno`. */
export const ERRNO_BYTES = 4;

/**
 * Returns the port over loaded functions. `errnoMemory` is the memory of this thread's `errno`: the C library keeps one
 * per thread, so that its address is needed only once. `own` has the parts that differ between the runtimes.
 */
export function callsOf<Address>(
  c: LibcFunctions<Address>,
  errnoMemory: ArrayBuffer,
  own: Pick<SystemCalls, 'adapter' | 'addressOf' | 'pointer' | 'read' | 'write' | 'recvmmsg' | 'sendmmsg' | 'poll'>,
): SystemCalls {
  const errno = new Int32Array(errnoMemory);
  return {
    ...own,
    unavailable: null,
    errno: () => errno[0]!,
    socket: c.socket,
    bind: c.bind,
    connect: c.connect,
    setsockopt: c.setsockopt,
    getsockopt: c.getsockopt,
    getsockname: c.getsockname,
    eventfd: c.eventfd,
    fcntl: c.fcntl,
    usleep: c.usleep,
    close: c.close,
  };
}
