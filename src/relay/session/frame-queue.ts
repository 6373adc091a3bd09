import { FRAME_HEADER_BYTES, FrameType, KEY_BYTES, MAX_PACKET_FRAME_BYTES } from '../../wire/frames.ts';
import { FORWARD_PACKET_OVERHEAD_BYTES } from '../../wire/mesh-frames.ts';
import { giveBuffer, type PooledBuffer, takeBuffer } from './buffer-pool.ts';

const EMPTY: PooledBuffer = { bytes: Buffer.alloc(0), view: new DataView(new ArrayBuffer(0)) };
const KEY_WORDS = KEY_BYTES / 4;
/** Bytes of a RecvPacket frame that are not the packet. */
export const PACKET_OVERHEAD_BYTES: number = FRAME_HEADER_BYTES + KEY_BYTES;
/** Room beyond the limit, so that the content is moved to the front once in many frames and not at each. */
const SLACK_BYTES = 63 * 1024;

/** Called for every frame that is dropped from the head of a queue, with its size in bytes, header included. */
export interface DropListener {
  dropped(queue: FrameQueue, frameBytes: number): void;
}

/**
 * The memory that all queues may use together. Each queue may use as much as is still free for all. So the more queues
 * are stuck, the less each of them keeps, and there is always room for the others.
 */
export class QueueSpace {
  /** Free bytes; below zero when the queues hold only the minimum that each may always hold. */
  freeBytes: number;

  constructor(bytes: number) {
    this.freeBytes = bytes;
  }
}

/**
 * Whole frames in one buffer with a limit in bytes; the oldest are dropped when it is full. Frames contain their
 * length, so a drop only moves the start. A frame whose first part was written is never dropped, because the rest must
 * follow.
 */
export class FrameQueue {
  /** Most bytes that wait; at least one largest frame. A lower limit applies from the next frame on. */
  limitBytes: number;
  readonly #space: QueueSpace;
  readonly #listener: DropListener;
  #memory: PooledBuffer = EMPTY;
  #start = 0;
  #end = 0;
  /** Bytes at the start that belong to a frame whose first part was written. */
  #unfinishedBytes = 0;
  /** Bytes of that frame that were written. */
  #begunBytes = 0;
  #frames = 0;
  /** Number of frames since before the last {@link dropAged}. They are the first ones. */
  #agedFrames = 0;
  /** How full the buffer was when it was last released: a busy queue begins with the size it needed before. */
  #usualBytes = 0;

  constructor(limitBytes: number, space: QueueSpace, listener: DropListener) {
    this.limitBytes = limitBytes;
    this.#space = space;
    this.#listener = listener;
  }

  get bytes(): number {
    return this.#end - this.#start;
  }

  /** Number of frames of which nothing has been written. */
  get frames(): number {
    return this.#frames;
  }

  /** Bytes at the front that are the rest of a frame whose first part was written. */
  get unfinishedBytes(): number {
    return this.#unfinishedBytes;
  }

  /** Bytes of that frame that were already written. */
  get begunBytes(): number {
    return this.#begunBytes;
  }

  get buffer(): Buffer {
    return this.#memory.bytes;
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
    this.#reserve(size);
    source.copy(this.#memory.bytes, this.#end, from, to);
    this.#end += size;
    this.#frames++;
  }

  /**
   * The same for a new RecvPacket frame: its source key as little-endian words, and the packet `[from, to)` of
   * `buffer`.
   */
  appendPacket(keyWords: Int32Array, buffer: Buffer, from: number, to: number): void {
    const size = PACKET_OVERHEAD_BYTES + to - from;
    this.#reserve(size);
    const { bytes, view } = this.#memory;
    const start = this.#end;
    bytes[start] = FrameType.RecvPacket;
    view.setUint32(start + 1, size - FRAME_HEADER_BYTES);
    for (let i = 0; i < KEY_WORDS; i++) view.setInt32(start + FRAME_HEADER_BYTES + i * 4, keyWords[i]!, true);
    buffer.copy(bytes, start + PACKET_OVERHEAD_BYTES, from, to);
    this.#end = start + size;
    this.#frames++;
  }

  /** The same for a ForwardPacket frame, which also has the key of the destination. */
  appendForward(source: Int32Array, destination: Int32Array, buffer: Buffer, from: number, to: number): void {
    const size = FORWARD_PACKET_OVERHEAD_BYTES + to - from;
    this.#reserve(size);
    const { bytes, view } = this.#memory;
    const start = this.#end;
    bytes[start] = FrameType.ForwardPacket;
    view.setUint32(start + 1, size - FRAME_HEADER_BYTES);
    for (let i = 0; i < KEY_WORDS; i++) {
      view.setInt32(start + FRAME_HEADER_BYTES + i * 4, source[i]!, true);
      view.setInt32(start + PACKET_OVERHEAD_BYTES + i * 4, destination[i]!, true);
    }
    buffer.copy(bytes, start + FORWARD_PACKET_OVERHEAD_BYTES, from, to);
    this.#end = start + size;
    this.#frames++;
  }

  #reserve(size: number): void {
    // Each queue may always hold one largest frame, even when the space for all queues is used up.
    const limit = Math.min(this.limitBytes, Math.max(this.#space.freeBytes, MAX_PACKET_FRAME_BYTES));
    while (this.bytes + size > limit && this.#frames > 0) this.#dropOldest();
    if (this.#end + size > this.#memory.bytes.length) this.#makeRoom(size, limit + SLACK_BYTES);
  }

  /** Drops the frames that were already there at the last call. Called at intervals, it limits how long frames wait. */
  dropAged(): void {
    while (this.#agedFrames > 0) this.#dropOldest();
    this.#agedFrames = this.#frames;
  }

  /** Removes `bytes` that were written from the front; returns how many whole frames ended within them. */
  consume(bytes: number): number {
    if (bytes === this.bytes) {
      const ended = this.#frames + (this.#unfinishedBytes > 0 ? 1 : 0);
      this.clear();
      return ended;
    }
    let ended = 0;
    let begin = this.#start - this.#begunBytes;
    let boundary = this.#start + this.#unfinishedBytes;
    this.#start += bytes;
    if (this.#unfinishedBytes > 0 && boundary <= this.#start) ended++;
    while (boundary < this.#start) {
      begin = boundary;
      boundary += FRAME_HEADER_BYTES + this.#memory.view.getUint32(boundary + 1);
      this.#takeFrame();
      if (boundary <= this.#start) ended++;
    }
    this.#unfinishedBytes = boundary - this.#start;
    this.#begunBytes = this.#unfinishedBytes > 0 ? this.#start - begin : 0;
    return ended;
  }

  /**
   * Removes the rest of a frame whose first part was written, because its connection has ended. False when there is
   * none.
   */
  dropUnfinished(): boolean {
    if (this.#unfinishedBytes === 0) return false;
    this.#start += this.#unfinishedBytes;
    this.#unfinishedBytes = this.#begunBytes = 0;
    if (this.#frames === 0) this.clear();
    return true;
  }

  /** Removes all frames and releases the buffer. */
  clear(): void {
    this.#usualBytes = this.#end;
    this.#replace(EMPTY);
    this.#start = this.#end = this.#unfinishedBytes = this.#begunBytes = this.#frames = this.#agedFrames = 0;
  }

  #replace(memory: PooledBuffer): void {
    this.#space.freeBytes += this.#memory.bytes.length - memory.bytes.length;
    if (this.#memory !== EMPTY) giveBuffer(this.#memory);
    this.#memory = memory;
  }

  #takeFrame(): void {
    this.#frames--;
    if (this.#agedFrames > 0) this.#agedFrames--;
  }

  #dropOldest(): void {
    const victim = this.#start + this.#unfinishedBytes;
    const size = FRAME_HEADER_BYTES + this.#memory.view.getUint32(victim + 1);
    if (this.#unfinishedBytes > 0) this.#memory.bytes.copyWithin(this.#start + size, this.#start, victim);
    this.#start += size;
    this.#takeFrame();
    this.#listener.dropped(this, size);
  }

  #makeRoom(size: number, largest: number): void {
    const queued = this.bytes;
    const { bytes } = this.#memory;
    if (queued + size <= bytes.length && (this.#start >= queued || bytes.length >= largest)) {
      bytes.copyWithin(0, this.#start, this.#end);
    } else {
      const wanted = Math.max(bytes.length * 4, this.#usualBytes);
      const larger = takeBuffer(Math.max(queued + size, Math.min(wanted, largest)));
      bytes.copy(larger.bytes, 0, this.#start, this.#end);
      this.#replace(larger);
    }
    this.#start = 0;
    this.#end = queued;
  }
}
