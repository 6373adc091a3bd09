import { randomBytes } from 'node:crypto';
import { KEY_BYTES } from '../../wire/frames.ts';

/** Words of a node key. */
export const KEY_WORDS: number = KEY_BYTES / 4;

/**
 * How tables look at node keys: as 32-bit words of the buffer in which they lie, mixed with a secret seed. It is a base class
 * and not a part of the tables, because the way through another object costs a tenth of a look-up.
 */
export abstract class KeyTable {
  readonly #seed: number;
  /** The buffer that was looked at last, which mostly is the one read window of the transport, and a view of it. */
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
   * A view of a lone key, 32 bytes, valid until the next call. It is copied: a view of a small buffer makes that three times
   * as heavy for as long as it lives.
   */
  protected viewOfKey(key: Buffer): DataView {
    key.copy(this.#key);
    return this.#keyView;
  }

  /** A hash of 32 bits of the first 8 bytes of a key. The seed is secret, because keys are chosen by strangers. */
  protected hash(first: number, second: number): number {
    let mixed = Math.imul(first ^ this.#seed, 0x9e3779b1);
    mixed = Math.imul((mixed ^ (mixed >>> 15)) + second, 0x85ebca6b) ^ this.#seed;
    return mixed ^ (mixed >>> 13);
  }
}
