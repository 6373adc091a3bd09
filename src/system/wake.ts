import type { Arena } from './arena.ts';
import { EFD_CLOEXEC, EFD_NONBLOCK, SystemCallError } from './linux.ts';
import type { Pointer, SystemCalls } from './port.ts';

const COUNT_BYTES = 8;

/** A counter of the kernel (`eventfd`) that wakes a thread out of `poll`. Any thread may call `wake`. */
export class Wake {
  readonly fd: number;
  readonly #calls: SystemCalls;
  readonly #arena: Arena;
  readonly #count: number;
  readonly #pointer: Pointer;

  /** Bytes of the arena that it takes. */
  static readonly arenaBytes = 32;

  /** Takes over `fd`, made by another thread, or makes a new one. Throws a {@link SystemCallError} when it cannot. */
  constructor(calls: SystemCalls, arena: Arena, fd?: number) {
    this.#calls = calls;
    this.#arena = arena;
    this.#count = arena.reserve(COUNT_BYTES);
    this.#pointer = arena.pointer(this.#count);
    this.fd = fd ?? calls.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (this.fd < 0) throw new SystemCallError('eventfd', calls.errno());
  }

  /** Makes `fd` readable. False when the kernel refused, which it does not do to an open descriptor. */
  wake(): boolean {
    this.#arena.words[this.#count >> 2] = 1;
    this.#arena.words[(this.#count >> 2) + 1] = 0;
    return this.#calls.write(this.fd, this.#pointer, COUNT_BYTES) === COUNT_BYTES;
  }

  /** Makes `fd` unreadable again; true when `wake` had been called. */
  clear(): boolean {
    return this.#calls.read(this.fd, this.#pointer, COUNT_BYTES) === COUNT_BYTES;
  }

  close(): void {
    this.#calls.close(this.fd);
  }
}
