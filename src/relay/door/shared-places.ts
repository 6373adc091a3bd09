import { randomBytes } from 'node:crypto';
import type { OtherTables } from './source-table.ts';

/** Kinds of connections that are counted separately. */
export const PlaceKind = { Handshake: 0, Session: 1 } as const;
export type PlaceKind = (typeof PlaceKind)[keyof typeof PlaceKind];
const KINDS = 2;

/** Cells of one row. Two names share a count only when they share their cells in both rows, and then count too high. */
const CELLS = 16_384;
const ROWS = 2;
/** Before the rows of each kind is the total of that kind, in its own cache line. */
const HEAD_WORDS = 16;
const WORDS_OF_KIND = HEAD_WORDS + ROWS * CELLS;
const WORDS_OF_THREAD = KINDS * WORDS_OF_KIND;
const SEED_BYTES = 8;
const PRIME = 0x01000193;

/**
 * Counts the connections of each source in all relay threads, in shared memory. Each thread writes its own counts and
 * adds up those of all threads. Names of sources are not stored, only counts of their hashes.
 */
export class SharedPlaces {
  readonly #words: Int32Array;
  readonly #thread: number;
  readonly #threads: number;
  readonly #seed: number;

  /** `memory` is of {@link createMemory} with the same number of threads; `thread` is the index of this one. */
  constructor(memory: SharedArrayBuffer, thread: number) {
    this.#seed = new Int32Array(memory, 0, 1)[0]!;
    this.#words = new Int32Array(memory, SEED_BYTES);
    this.#thread = thread;
    this.#threads = this.#words.length / WORDS_OF_THREAD;
  }

  /**
   * Memory for this number of threads. The random `seed` prevents attackers from finding sources that share a count.
   */
  static createMemory(threads: number, seed: number = randomBytes(4).readInt32LE(0)): SharedArrayBuffer {
    const memory = new SharedArrayBuffer(SEED_BYTES + threads * WORDS_OF_THREAD * 4);
    new Int32Array(memory, 0, 1)[0] = seed;
    return memory;
  }

  /** Returns the counts of one kind in all other threads, for this thread's table. */
  table(kind: PlaceKind): OtherTables {
    return {
      changed: (name, by) => this.#changed(kind, name, by),
      held: (name) => this.#heldElsewhere(kind, name),
      size: () => this.#sumElsewhere((thread) => Atomics.load(this.#words, this.#base(thread, kind))),
    };
  }

  /** Sets all counts of this thread to 0. */
  clear(): void {
    this.#words.fill(0, this.#thread * WORDS_OF_THREAD, (this.#thread + 1) * WORDS_OF_THREAD);
  }

  #changed(kind: PlaceKind, name: string | null, by: 1 | -1): void {
    const base = this.#base(this.#thread, kind);
    if (name === null) Atomics.add(this.#words, base, by);
    else for (let row = 0; row < ROWS; row++) Atomics.add(this.#words, base + this.#cell(row, name), by);
  }

  /** Returns the count of a name in other threads. It is sometimes too high, and never too low. */
  #heldElsewhere(kind: PlaceKind, name: string): number {
    const [first, second] = [this.#cell(0, name), this.#cell(1, name)];
    return this.#sumElsewhere((thread) => {
      const base = this.#base(thread, kind);
      return Math.min(Atomics.load(this.#words, base + first), Atomics.load(this.#words, base + second));
    });
  }

  #sumElsewhere(read: (thread: number) => number): number {
    let sum = 0;
    for (let thread = 0; thread < this.#threads; thread++) if (thread !== this.#thread) sum += read(thread);
    return sum;
  }

  #base(thread: number, kind: PlaceKind): number {
    return thread * WORDS_OF_THREAD + kind * WORDS_OF_KIND;
  }

  #cell(row: number, name: string): number {
    let hash = this.#seed ^ Math.imul(row + 1, 0x9e3779b1);
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), PRIME);
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
    return HEAD_WORDS + row * CELLS + ((hash ^ (hash >>> 13)) & (CELLS - 1));
  }
}
