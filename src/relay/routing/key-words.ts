import { randomBytes } from 'node:crypto';
import { KEY_BYTES } from '../../wire/frames.ts';

/** Words of a node key. */
export const KEY_WORDS: number = KEY_BYTES / 4;

/**
 * Reads node keys as 32-bit words of the buffer that contains them, and hashes them with a secret seed. It is a base class of
 * the tables and not a part of them, because a call through another object costs a tenth of a look-up.
 */
export abstract class KeyTable {
  readonly #seed: number;
  /** The buffer that was read last, which is usually the one read window of the transport, and a view of it. */
  #viewed: Buffer | null = null;
  #view: DataView = new DataView(new ArrayBuffer(0));
  readonly #key: Buffer = Buffer.alloc(KEY_BYTES);
  readonly #keyView: DataView = new DataView(this.#key.buffer, this.#key.byteOffset, KEY_BYTES);

  /** `seed` is random unless a test wants collisions. */
  constructor(seed: number = randomBytes(4).readInt32LE(0)) {
    this.#seed = seed;
  }

  /** A view of a buffer that holds many keys: reading words through it costs a fraction of Buffer's own methods. */
  protected viewOf(buffer: Buffer): DataView {
    if (buffer !== this.#viewed) {
      this.#viewed = buffer;
      this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    }
    return this.#view;
  }

  /**
   * Returns a view of a copy of one key, 32 bytes, valid until the next call. The key is copied, because a view of a small
   * buffer triples the memory of that buffer.
   */
  protected viewOfKey(key: Buffer): DataView {
    key.copy(this.#key);
    return this.#keyView;
  }

  /**
   * A hash of 32 bits of a key, of which `a` to `h` are the words. The seed is secret and all words count, because keys are
   * chosen by strangers: another relay of the region may name a million keys that begin alike.
   */
  protected hash(a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number): number {
    // Two chains, because a processor calculates them at the same time.
    let even = Math.imul(a ^ this.#seed, 0x9e3779b1);
    let odd = Math.imul(b + this.#seed, 0x85ebca6b);
    even = Math.imul((even ^ (even >>> 15)) + c, 0x85ebca6b);
    odd = Math.imul((odd ^ (odd >>> 15)) + d, 0x9e3779b1);
    even = Math.imul((even ^ (even >>> 15)) + e, 0x9e3779b1);
    odd = Math.imul((odd ^ (odd >>> 15)) + f, 0x85ebca6b);
    even = Math.imul((even ^ (even >>> 15)) + g, 0x85ebca6b);
    odd = Math.imul((odd ^ (odd >>> 15)) + h, 0x9e3779b1);
    const mixed = Math.imul((even ^ (even >>> 15)) + (odd ^ (odd >>> 15)), 0x85ebca6b) ^ this.#seed;
    return mixed ^ (mixed >>> 13);
  }

  /** The hash of the key at `at` of a view. */
  protected hashAt(view: DataView, at: number): number {
    return this.hash(
      view.getInt32(at, true),
      view.getInt32(at + 4, true),
      view.getInt32(at + 8, true),
      view.getInt32(at + 12, true),
      view.getInt32(at + 16, true),
      view.getInt32(at + 20, true),
      view.getInt32(at + 24, true),
      view.getInt32(at + 28, true),
    );
  }

  /** The hash of the key whose words begin at `base`. */
  protected hashOf(words: Int32Array, base: number): number {
    return this.hash(
      words[base]!,
      words[base + 1]!,
      words[base + 2]!,
      words[base + 3]!,
      words[base + 4]!,
      words[base + 5]!,
      words[base + 6]!,
      words[base + 7]!,
    );
  }
}
