import { FRAME_HEADER_BYTES } from '../wire/frames.ts';
import { giveBuffer, takeBuffer } from './buffer-pool.ts';

const EMPTY = Buffer.alloc(0);
/** Room beyond the limit, so that moving the content to the front happens once in many frames and not at each. */
const SLACK_BYTES = 128 * 1024;

/** Told about every frame that is dropped from the head of a full queue: its size in bytes, header included. */
export type DropListener = (frameBytes: number) => void;

/**
 * Whole frames, one behind the other in one buffer, bounded in bytes; the oldest are dropped when it is full. Frames
 * delimit themselves, so dropping is moving the start. A frame of which a part was written is never dropped, for the
 * rest of it must follow.
 */
export class FrameQueue {
  readonly #limitBytes: number;
  readonly #dropped: DropListener;
  #buffer: Buffer = EMPTY;
  #start = 0;
  #end = 0;
  /** Bytes at the start that belong to a frame whose first part was written. */
  #unfinishedBytes = 0;
  #frames = 0;

  /** `limitBytes` must hold at least one largest frame. */
  constructor(limitBytes: number, dropped: DropListener) {
    this.#limitBytes = limitBytes;
    this.#dropped = dropped;
  }

  get bytes(): number {
    return this.#end - this.#start;
  }

  /** Frames that have not been written, not even in part. */
  get frames(): number {
    return this.#frames;
  }

  /** Bytes at the front that are the rest of a frame whose first part was written. */
  get unfinishedBytes(): number {
    return this.#unfinishedBytes;
  }

  get buffer(): Buffer {
    return this.#buffer;
  }

  get start(): number {
    return this.#start;
  }

  get end(): number {
    return this.#end;
  }

  /** Copies the frame `[from, to)` of `source` to the end; drops the oldest frames to stay within the limit. */
  append(source: Buffer, from: number, to: number): void {
    const size = to - from;
    while (this.bytes + size > this.#limitBytes && this.#frames > 0) this.#dropOldest();
    if (this.#end + size > this.#buffer.length) this.#makeRoom(size);
    source.copy(this.#buffer, this.#end, from, to);
    this.#end += size;
    this.#frames++;
  }

  /** Takes `bytes` that were written off the front; returns how many whole frames ended within them. */
  consume(bytes: number): number {
    if (bytes === this.bytes) {
      const ended = this.#frames + (this.#unfinishedBytes > 0 ? 1 : 0);
      this.clear();
      return ended;
    }
    let ended = 0;
    let boundary = this.#start + this.#unfinishedBytes;
    this.#start += bytes;
    if (this.#unfinishedBytes > 0 && boundary <= this.#start) ended++;
    while (boundary < this.#start) {
      boundary += FRAME_HEADER_BYTES + this.#buffer.readUInt32BE(boundary + 1);
      this.#frames--;
      if (boundary <= this.#start) ended++;
    }
    this.#unfinishedBytes = boundary - this.#start;
    return ended;
  }

  /** Forgets all and gives the buffer back. */
  clear(): void {
    if (this.#buffer.length > 0) giveBuffer(this.#buffer);
    this.#buffer = EMPTY;
    this.#start = this.#end = this.#unfinishedBytes = this.#frames = 0;
  }

  #dropOldest(): void {
    const victim = this.#start + this.#unfinishedBytes;
    const size = FRAME_HEADER_BYTES + this.#buffer.readUInt32BE(victim + 1);
    if (this.#unfinishedBytes > 0) this.#buffer.copyWithin(this.#start + size, this.#start, victim);
    this.#start += size;
    this.#frames--;
    this.#dropped(size);
  }

  #makeRoom(size: number): void {
    const queued = this.bytes;
    const largest = this.#limitBytes + SLACK_BYTES;
    if (queued + size <= this.#buffer.length && (this.#start >= queued || this.#buffer.length >= largest)) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
    } else {
      const larger = takeBuffer(Math.max(queued + size, Math.min(this.#buffer.length * 4, largest)));
      this.#buffer.copy(larger, 0, this.#start, this.#end);
      if (this.#buffer.length > 0) giveBuffer(this.#buffer);
      this.#buffer = larger;
    }
    this.#start = 0;
    this.#end = queued;
  }
}
