/**
 * The port of system calls: what the UDP plane and the messages to systemd need of the C library
 * (docs/reference/runtimes.md §6). Three adapters implement it, `node.ts`, `bun.ts` and `none.ts`; nothing above this
 * folder knows which one runs. Every call returns what the C function returns, does not throw and does not allocate. `−1`
 * means an error, whose number `errno()` returns as long as no other call was made on the same thread.
 */

/** An address in the form that the runtime passes to C: a bigint on Node, a number on Bun. Made by an `Arena` only. */
export type Pointer = bigint | number;

export interface SystemCalls {
  /** Which adapter this is, for the log. */
  readonly adapter: 'node:ffi' | 'bun:ffi' | 'none';
  /** Why there are no system calls, as text for the log; null when there are. */
  readonly unavailable: string | null;
  /** The address of the first byte of a buffer. The buffer must stay reachable while C may use it: see `Arena`. */
  addressOf(buffer: ArrayBuffer): bigint;
  /** The form of an address that the calls below take. */
  pointer(address: bigint): Pointer;
  /** The error of the last call that returned −1 on this thread. */
  errno(): number;
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Pointer, addressBytes: number): number;
  connect(fd: number, address: Pointer, addressBytes: number): number;
  setsockopt(fd: number, level: number, option: number, value: Pointer, valueBytes: number): number;
  /** `valueBytes` points to 32 bits: the room given and, afterwards, the length taken. */
  getsockopt(fd: number, level: number, option: number, value: Pointer, valueBytes: Pointer): number;
  /** `addressBytes` points to 32 bits: the room given and, afterwards, the length of the address. */
  getsockname(fd: number, address: Pointer, addressBytes: Pointer): number;
  /** Receives up to `count` messages; returns how many. Blocks as `flags` say. */
  recvmmsg(fd: number, messages: Pointer, count: number, flags: number, timeout: Pointer | null): number;
  /** Sends up to `count` messages; returns how many, and −1 only when the first of them failed. */
  sendmmsg(fd: number, messages: Pointer, count: number, flags: number): number;
  eventfd(initial: number, flags: number): number;
  read(fd: number, bytes: Pointer, length: number): number;
  write(fd: number, bytes: Pointer, length: number): number;
  /** Waits up to `timeoutMs` (−1: without end) for one of `count` descriptors; blocks the thread. */
  poll(descriptors: Pointer, count: number, timeoutMs: number): number;
  /** With a command that takes an integer. */
  fcntl(fd: number, command: number, argument: number): number;
  /** Blocks the thread for this time, and some 50 µs more: the kernel joins timers that end close to each other. */
  usleep(microseconds: number): number;
  close(fd: number): number;
}
