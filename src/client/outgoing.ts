import type { Stream } from '../transport/port.ts';
import { SEND_PACKET_OVERHEAD_BYTES, writeSendPacket } from '../wire/client-frames.ts';

/** First size of the buffer. A connection that sends little keeps this size. */
const FIRST_BYTES = 2048;

/** The frames that a client still has to write. */
export interface OutgoingFrames {
  /** Bytes that the stream has not taken yet. */
  readonly pendingBytes: number;
  /** Whether `bytes` more fit in. */
  reserve(bytes: number): boolean;
  /** Adds a SendPacket frame. The caller has checked that there is room. */
  addPacket(destination: Uint8Array, packet: Uint8Array): void;
  /** Adds a whole frame; false when it does not fit. */
  add(frame: Uint8Array): boolean;
  /** Writes as much as the stream takes. */
  flush(stream: Stream): void;
}

/** A queue in one buffer that grows up to a limit. Frames are added at the end and written from the front. */
export class Outgoing implements OutgoingFrames {
  readonly #limitBytes: number;
  #buffer: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #from = 0;
  #to = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get pendingBytes(): number {
    return this.#to - this.#from;
  }

  /** Makes room for `bytes` more at the end; false when that would exceed the limit. */
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

  addPacket(destination: Uint8Array, packet: Uint8Array): void {
    if (!this.reserve(SEND_PACKET_OVERHEAD_BYTES + packet.length)) return;
    this.#to = writeSendPacket(this.#buffer, this.#to, destination, packet);
  }

  add(frame: Uint8Array): boolean {
    if (!this.reserve(frame.length)) return false;
    this.#buffer.set(frame, this.#to);
    this.#to += frame.length;
    return true;
  }

  flush(stream: Stream): void {
    if (this.#from === this.#to) return;
    const taken = stream.write(this.#buffer, this.#from, this.#to);
    if (taken > 0) this.#from += taken;
    if (this.#from === this.#to) this.#from = this.#to = 0;
  }
}
