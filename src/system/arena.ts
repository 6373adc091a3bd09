import type { Pointer, SystemCalls } from './port.ts';

/** Arenas in use. The garbage collector must not take memory whose address only the kernel still has. */
const inUse = new Set<Arena>();
const WORD_BYTES = 4;
const HALF = 0x1_0000_0000;
const DEFAULT_ALIGNMENT = 16;

/**
 * The only owner of all native memory that a group of sockets uses: a single buffer, of which `reserve` gives parts. A
 * part is known by its offset; its address never changes. The memory stays until `release`, even if no other object
 * refers to the arena.
 */
export class Arena {
  /** The whole memory as bytes. */
  readonly bytes: Buffer<ArrayBuffer>;
  /** The same memory as 32-bit words: the word at `offset` is `words[offset >> 2]`. */
  readonly words: Int32Array<ArrayBuffer>;
  readonly #calls: SystemCalls;
  readonly #address: bigint;
  readonly #low: number;
  readonly #high: number;
  #used = 0;

  constructor(calls: SystemCalls, sizeBytes: number) {
    this.#calls = calls;
    // The ArrayBuffer comes first: a small typed array lives on the heap and moves.
    const memory = new ArrayBuffer(sizeBytes + DEFAULT_ALIGNMENT);
    this.bytes = Buffer.from(memory);
    this.words = new Int32Array(memory, 0, sizeBytes / WORD_BYTES);
    this.#address = calls.addressOf(memory);
    this.#low = Number(this.#address & 0xffff_ffffn);
    this.#high = Number(this.#address >> 32n);
    inUse.add(this);
  }

  /** Number of arenas that have not been released, for tests. */
  static get count(): number {
    return inUse.size;
  }

  /** Takes `bytes` of the memory, zeroed, and returns their offset. Throws a RangeError when the arena is full. */
  reserve(bytes: number, alignment: number = DEFAULT_ALIGNMENT): number {
    const offset = Math.ceil(this.#used / alignment) * alignment;
    if (offset + bytes > this.words.byteLength) throw new RangeError(`the arena has no room for ${bytes} bytes more`);
    this.#used = offset + bytes;
    return offset;
  }

  /** Returns the address of `offset`. It may allocate, so it is called once, before the loop. */
  pointer(offset: number): Pointer {
    return this.#calls.pointer(this.#address + BigInt(offset));
  }

  /** Writes the address of `offset` to the 64 bits at `at`, as two halves and without a bigint. */
  storeAddress(at: number, offset: number): void {
    const low = this.#low + offset;
    const word = at >> 2;
    this.words[word] = low | 0;
    this.words[word + 1] = low >= HALF ? this.#high + 1 : this.#high;
  }

  /** Releases the memory. No descriptor or thread may use it afterwards. */
  release(): void {
    inUse.delete(this);
  }
}
