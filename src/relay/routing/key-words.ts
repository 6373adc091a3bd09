/** How tables look at node keys: as 32-bit words of the buffer in which they lie, mixed with a secret seed. */
import { KEY_BYTES } from '../../wire/frames.ts';

/** Words of a node key. */
export const KEY_WORDS: number = KEY_BYTES / 4;

/** A hash of 32 bits of the first 8 bytes of a key. The seed is secret, because keys are chosen by strangers. */
export function hashOfKey(first: number, second: number, seed: number): number {
  let mixed = Math.imul(first ^ seed, 0x9e3779b1);
  mixed = Math.imul((mixed ^ (mixed >>> 15)) + second, 0x85ebca6b) ^ seed;
  return mixed ^ (mixed >>> 13);
}

/** Views of buffers: reading words through one costs a fraction of Buffer's own methods. */
export class KeyViews {
  /** The buffer that was looked at last, which mostly is the one read window of the transport, and a view of it. */
  #viewed: Buffer | null = null;
  #view: DataView = new DataView(new ArrayBuffer(0));
  readonly #key: Buffer = Buffer.alloc(KEY_BYTES);
  readonly #keyView: DataView = new DataView(this.#key.buffer, this.#key.byteOffset, KEY_BYTES);

  /** A view of a buffer that holds many keys. */
  of(buffer: Buffer): DataView {
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
  ofKey(key: Buffer): DataView {
    key.copy(this.#key);
    return this.#keyView;
  }
}
