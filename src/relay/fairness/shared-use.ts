/** What one thread uses of what is limited for all threads together. */
export interface ThreadUse {
  /** Bytes that wait in its queues. */
  readonly queuedBytes: number;
  /** Bytes per second that its clients sent lately under the total limit. */
  readonly bytesPerSecond: number;
  /** Shares of the clients that wait for the total limit; 0: nobody waits. */
  readonly waitingWeight: number;
}

/** Words of one thread: a cache line of its own. */
const WORDS = 8;
const Word = { Queued: 0, Rate: 1, Weight: 2 } as const;
/** Weights have fractions. */
const WEIGHT_SCALE = 1000;

/** What each thread uses, in shared memory. A thread writes its own part now and then, and reads those of the others. */
export class SharedUse {
  readonly #words: BigInt64Array;
  readonly #thread: number;

  /** `memory` is of {@link createMemory}; `thread` is the index of this one. */
  constructor(memory: SharedArrayBuffer, thread: number) {
    this.#words = new BigInt64Array(memory);
    this.#thread = thread;
  }

  /** Memory for this number of threads. */
  static createMemory(threads: number): SharedArrayBuffer {
    return new SharedArrayBuffer(threads * WORDS * BigInt64Array.BYTES_PER_ELEMENT);
  }

  /** What this thread uses from now on. */
  publish({ queuedBytes, bytesPerSecond, waitingWeight }: ThreadUse): void {
    this.#store(Word.Queued, queuedBytes);
    this.#store(Word.Rate, bytesPerSecond);
    this.#store(Word.Weight, waitingWeight * WEIGHT_SCALE);
  }

  /** What the others have published last. */
  others(): ThreadUse[] {
    const uses: ThreadUse[] = [];
    for (let thread = 0; thread < this.#words.length / WORDS; thread++) {
      if (thread === this.#thread) continue;
      uses.push({
        queuedBytes: this.#load(thread, Word.Queued),
        bytesPerSecond: this.#load(thread, Word.Rate),
        waitingWeight: this.#load(thread, Word.Weight) / WEIGHT_SCALE,
      });
    }
    return uses;
  }

  /** The thread has ended, and uses nothing. */
  clear(): void {
    this.publish({ queuedBytes: 0, bytesPerSecond: 0, waitingWeight: 0 });
  }

  #store(word: number, value: number): void {
    Atomics.store(this.#words, this.#thread * WORDS + word, BigInt(Math.round(value)));
  }

  #load(thread: number, word: number): number {
    return Number(Atomics.load(this.#words, thread * WORDS + word));
  }
}
