import type { EventOrder } from '../routing/event-order.ts';

/** The order of events in all threads that share its memory. */
export class SharedOrder implements EventOrder {
  readonly #counter: BigInt64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#counter = new BigInt64Array(memory, 0, 1);
  }

  /** Memory for the threads to share. */
  static createMemory(): SharedArrayBuffer {
    return new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
  }

  next(): number {
    return Number(Atomics.add(this.#counter, 0, 1n)) + 1;
  }
}
