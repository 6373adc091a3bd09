import { KEY_BYTES } from '../../wire/frames.ts';
import { KEY_WORDS } from './key-words.ts';
import type { Source } from './recipient.ts';

/** The source of a packet that another relay of the region forwards. One object is filled again for each packet. */
export class ForwardedSource implements Source {
  readonly key: Buffer = Buffer.alloc(KEY_BYTES);
  readonly words: Int32Array = new Int32Array(KEY_WORDS);
  readonly isProved: boolean = false;

  /** Takes over the key that is the 32 bytes at `at` of `buffer`. */
  read(buffer: Buffer, at: number): void {
    buffer.copy(this.key, 0, at, at + KEY_BYTES);
    for (let i = 0; i < KEY_WORDS; i++) this.words[i] = this.key.readInt32LE(i * 4);
  }
}
