import type { Arena } from './arena.ts';
import { POLLIN } from './linux.ts';
import type { Pointer, SystemCalls } from './port.ts';

/** `struct pollfd`: the descriptor, the events to wait for (16 bits) and the events that were found (16 bits). */
const ENTRY_BYTES = 8;

/** Memory for one `poll` that waits until one of several descriptors can be read. */
export class PollSet {
  readonly size: number;
  readonly #calls: SystemCalls;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #entries: number;
  readonly #pointer: Pointer;

  constructor(calls: SystemCalls, arena: Arena, size: number) {
    this.size = size;
    this.#calls = calls;
    this.#words = arena.words;
    this.#entries = arena.reserve(size * ENTRY_BYTES);
    this.#pointer = arena.pointer(this.#entries);
    for (let i = 0; i < size; i++) this.set(i, -1);
  }

  /** Bytes of the arena that it takes at most. */
  static arenaBytes(size: number): number {
    return size * ENTRY_BYTES + 16;
  }

  /** Makes entry `i` watch a descriptor; −1: none. */
  set(i: number, fd: number): void {
    const entry = (this.#entries >> 2) + i * 2;
    this.#words[entry] = fd;
    this.#words[entry + 1] = POLLIN;
  }

  /** Waits up to `timeoutMs`, −1 without end; returns how many entries are ready, or −1 with errno. Blocks the thread. */
  wait(timeoutMs: number): number {
    return this.#calls.poll(this.#pointer, this.size, timeoutMs);
  }

  /** Returns what `poll` found for entry `i`: `POLLIN`, `POLLERR`, … or 0. */
  found(i: number): number {
    return this.#words[(this.#entries >> 2) + i * 2 + 1]! >>> 16;
  }
}
