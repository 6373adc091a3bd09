import type { Stream } from '../transport/port.ts';

/** A connection that sends little stays this small. */
const FIRST_BYTES = 2048;

/** What a client still has to write: one buffer that grows up to a bound, filled behind and written from the front. */
export class Outgoing {
  readonly #limitBytes: number;
  #buffer: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #from = 0;
  #to = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Bytes that the stream has not taken yet. */
  get pendingBytes(): number {
    return this.#to - this.#from;
  }

  /** The buffer to write the next frame into, at `end`; valid after {@link reserve} until the next call. */
  get buffer(): Buffer {
    return this.#buffer;
  }

  /** Where the next frame starts. */
  get end(): number {
    return this.#to;
  }

  /** Makes room for `bytes` more behind the end; false when that would go over the bound. */
  reserve(bytes: number): boolean {
    const pending = this.#to - this.#from;
    if (pending + bytes > this.#limitBytes) return false;
    if (this.#to + bytes <= this.#buffer.length) return true;
    if (pending + bytes <= this.#buffer.length) {
      this.#buffer.copyWithin(0, this.#from, this.#to);
    } else {
      const size = Math.min(this.#limitBytes, Math.max(this.#buffer.length * 2, pending + bytes));
      const grown = Buffer.allocUnsafeSlow(size);
      this.#buffer.copy(grown, 0, this.#from, this.#to);
      this.#buffer = grown;
    }
    this.#from = 0;
    this.#to = pending;
    return true;
  }

  /** Says that the buffer is now filled up to `end`. */
  commit(end: number): void {
    this.#to = end;
  }

  /** Adds a whole frame; false when it does not fit. */
  add(frame: Uint8Array): boolean {
    if (!this.reserve(frame.length)) return false;
    this.#buffer.set(frame, this.#to);
    this.#to += frame.length;
    return true;
  }

  /** Writes what the stream takes. */
  flush(stream: Stream): void {
    if (this.#from === this.#to) return;
    const taken = stream.write(this.#buffer, this.#from, this.#to);
    if (taken > 0) this.#from += taken;
    if (this.#from === this.#to) this.#from = this.#to = 0;
  }
}
