import { FRAME_HEADER_BYTES, MAX_PACKET_FRAME_BYTES } from './frames.ts';

/** A {@link FrameSink}'s decision about a frame, made from its header. */
export const HeaderVerdict = {
  /** Collect the whole frame and deliver it. */
  Take: 0,
  /** Skip the payload without buffering it. */
  Skip: 1,
  /** Stop decoding before this payload; `resume` asks again about the same header. */
  Wait: 2,
  /** The stream is invalid or closed: decode nothing more. */
  Stop: 3,
} as const;
export type HeaderVerdict = (typeof HeaderVerdict)[keyof typeof HeaderVerdict];

/** Receives frames from a {@link FrameDecoder}. Called directly, once per header and once per frame. */
export interface FrameSink {
  /** Judges a frame by type and payload length before anything is allocated for it. May be asked again after `Wait`. */
  header(type: number, payloadBytes: number): HeaderVerdict;
  /**
   * A whole frame: header at `from`, payload at `from + 5` up to `to`. Read-only, and valid only during the call. A
   * sink that cannot take it yet calls {@link FrameDecoder.keepFrame} meanwhile.
   */
  frame(type: number, buffer: Buffer, from: number, to: number): void;
}

const EMPTY = Buffer.alloc(0);
/** Frames of this size and less are collected in a buffer of Node's own pool. */
const SMALL_FRAME_BYTES = 4096;
/** Number of larger buffers that are kept for reuse: TLS records split every packet over 16 KiB. */
const MAX_FREE_BUFFERS = 128;
const freeBuffers: Buffer[] = [];

function takeFrameBuffer(bytes: number): Buffer {
  if (bytes <= SMALL_FRAME_BYTES) return Buffer.allocUnsafe(bytes);
  if (bytes > MAX_PACKET_FRAME_BYTES) return Buffer.allocUnsafeSlow(bytes);
  return freeBuffers.pop() ?? Buffer.allocUnsafeSlow(MAX_PACKET_FRAME_BYTES);
}

function giveFrameBuffer(buffer: Buffer): void {
  if (buffer.length === MAX_PACKET_FRAME_BYTES && freeBuffers.length < MAX_FREE_BUFFERS) freeBuffers.push(buffer);
}

/**
 * Cuts a byte stream into frames (protocol reference §2.1). A frame that is complete in one read is delivered in place.
 * For an unfinished frame, exactly its size is allocated, after the sink has accepted its header. Holds at most one
 * unfinished frame, and after `Wait` a copy of the rest of that read.
 */
export class FrameDecoder {
  readonly #sink: FrameSink;
  /** The unfinished frame: allocated at full size once its header was accepted, else the first header bytes. */
  #partial: Buffer = EMPTY;
  #partialBytes = 0;
  /** Size of the unfinished frame, once its header was accepted. */
  #frameBytes = 0;
  /** The sink has taken the header of the unfinished frame. */
  #taken = false;
  /** Payload bytes still to pass over. */
  #skipBytes = 0;
  /** Bytes that came after a `Wait`: this buffer from `#heldFrom` up to `#heldTo`. */
  #held: Buffer = EMPTY;
  #heldFrom = 0;
  #heldTo = 0;
  /** The held buffer that is being decoded. Bytes of it that must wait again stay in place. */
  #resumed: Buffer | null = null;
  #stopped = false;
  /** Stopped, or the sink keeps its current frame. Checked after each frame. */
  #interrupted = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Bytes kept between reads; for memory accounting. */
  get bufferedBytes(): number {
    return this.#partial.length + this.#held.length;
  }

  /** Bytes kept because of a `Wait`. */
  get heldBytes(): number {
    return this.#heldTo - this.#heldFrom;
  }

  /** True once nothing more is decoded. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** True at the end of a frame: nothing unfinished, nothing to skip, nothing held. */
  get atBoundary(): boolean {
    return this.#partialBytes === 0 && this.#skipBytes === 0 && this.heldBytes === 0;
  }

  /** True after a `Wait` until `resume` went past it. Bytes that arrive meanwhile are kept, so the owner pauses its stream. */
  get waiting(): boolean {
    return this.heldBytes > 0;
  }

  /** Decodes bytes `[from, to)`. */
  push(buffer: Buffer, from: number, to: number): void {
    if (this.#stopped) return;
    if (this.heldBytes > 0) this.#append(buffer, from, to);
    else this.#decode(buffer, from, to);
  }

  /**
   * Called by the sink during `frame`: the same frame is delivered again after `resume`, header first, as after a
   * `Wait`. Later frames wait meanwhile.
   */
  keepFrame(): void {
    this.#interrupted = true;
  }

  /** Goes on after a `Wait`: asks the sink about the same header again. */
  resume(): void {
    if (this.#stopped || this.heldBytes === 0) return;
    const held = this.#held;
    const [from, to] = [this.#heldFrom, this.#heldTo];
    this.#held = EMPTY;
    this.#heldFrom = this.#heldTo = 0;
    this.#resumed = held;
    this.#decode(held, from, to);
    this.#resumed = null;
  }

  /** Forgets everything and decodes nothing more. */
  stop(): void {
    this.#stopped = this.#interrupted = true;
    giveFrameBuffer(this.#partial);
    this.#partial = this.#held = EMPTY;
    this.#partialBytes = this.#skipBytes = this.#heldFrom = this.#heldTo = 0;
  }

  #decode(buffer: Buffer, from: number, to: number): void {
    let at = from;
    if (this.#skipBytes > 0 || this.#partialBytes > 0) {
      at = this.#finishPartial(buffer, from, to);
      if (at < 0) return;
    }
    const sink = this.#sink;
    while (to - at >= FRAME_HEADER_BYTES) {
      const type = buffer[at]!;
      const length = buffer.readUInt32BE(at + 1);
      const next = at + FRAME_HEADER_BYTES + length;
      const verdict = sink.header(type, length);
      if (verdict === HeaderVerdict.Take) {
        if (next > to) {
          this.#startPartial(buffer, at, to, next - at);
          return;
        }
        sink.frame(type, buffer, at, next);
        if (this.#interrupted) {
          this.#holdKept(buffer, at, to);
          return;
        }
      } else if (verdict === HeaderVerdict.Skip) {
        if (next > to) {
          this.#skipBytes = next - to;
          return;
        }
      } else {
        if (verdict === HeaderVerdict.Wait) this.#hold(buffer, at, to);
        else this.stop();
        return;
      }
      at = next;
    }
    if (at < to) {
      this.#partial = Buffer.from(buffer.subarray(at, to));
      this.#partialBytes = to - at;
      this.#taken = false;
    }
  }

  /** After an interruption: holds `[from, to)`, which begins with a kept frame, unless the decoder has stopped. */
  #holdKept(buffer: Buffer, from: number, to: number): void {
    if (this.#stopped) return;
    this.#interrupted = false;
    this.#hold(buffer, from, to);
  }

  #hold(buffer: Buffer, from: number, to: number): void {
    if (buffer === this.#resumed) {
      this.#held = buffer;
      this.#heldFrom = from;
      this.#heldTo = to;
    } else {
      this.#append(buffer, from, to);
    }
  }

  /** Keeps more bytes. The buffer doubles when it is full, because bytes may come in many small reads. */
  #append(buffer: Buffer, from: number, to: number): void {
    const kept = this.heldBytes;
    if (this.#heldTo + to - from > this.#held.length) {
      const fits = kept + to - from <= this.#held.length / 2;
      const room = fits ? this.#held : Buffer.allocUnsafeSlow(Math.max(2 * kept, kept + to - from));
      this.#held.copy(room, 0, this.#heldFrom, this.#heldTo);
      this.#held = room;
      this.#heldFrom = 0;
      this.#heldTo = kept;
    }
    this.#heldTo += buffer.copy(this.#held, this.#heldTo, from, to);
  }

  #startPartial(buffer: Buffer, at: number, to: number, frameBytes: number): void {
    this.#partial = takeFrameBuffer(frameBytes);
    this.#frameBytes = frameBytes;
    this.#partialBytes = buffer.copy(this.#partial, 0, at, to);
    this.#taken = true;
  }

  /** Fills the unfinished frame; returns where to continue in `buffer`, or −1 when it is used up or decoding must stop. */
  #finishPartial(buffer: Buffer, from: number, to: number): number {
    if (this.#skipBytes > 0) {
      const skipped = Math.min(this.#skipBytes, to - from);
      this.#skipBytes -= skipped;
      return from + skipped < to ? from + skipped : -1;
    }
    if (!this.#taken) return this.#finishHeader(buffer, from, to);
    const wanted = Math.min(this.#frameBytes - this.#partialBytes, to - from);
    buffer.copy(this.#partial, this.#partialBytes, from, from + wanted);
    this.#partialBytes += wanted;
    if (this.#partialBytes < this.#frameBytes) return -1;
    const frame = this.#partial;
    this.#partial = EMPTY;
    this.#partialBytes = 0;
    this.#sink.frame(frame[0]!, frame, 0, this.#frameBytes);
    if (!this.#interrupted) {
      giveFrameBuffer(frame);
      return from + wanted;
    }
    this.#holdKept(frame, 0, this.#frameBytes);
    giveFrameBuffer(frame);
    if (!this.#stopped) this.#append(buffer, from + wanted, to);
    return -1;
  }

  /** A header was cut in two: joins a copy of it with what came and decodes that. Rare, so the copy is cheap enough. */
  #finishHeader(buffer: Buffer, from: number, to: number): number {
    const joined = Buffer.concat([this.#partial.subarray(0, this.#partialBytes), buffer.subarray(from, to)]);
    this.#partial = EMPTY;
    this.#partialBytes = 0;
    if (joined.length < FRAME_HEADER_BYTES) {
      this.#partial = joined;
      this.#partialBytes = joined.length;
      return -1;
    }
    this.#decode(joined, 0, joined.length);
    return -1;
  }
}
