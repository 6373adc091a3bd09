import { FRAME_HEADER_BYTES, FrameType, KEY_BYTES, MAX_PACKET_FRAME_BYTES } from '../../wire/frames.ts';
import { FORWARD_PACKET_OVERHEAD_BYTES } from '../../wire/mesh-frames.ts';
import { giveBuffer, type PooledBuffer, takeBuffer } from './buffer-pool.ts';

const EMPTY: PooledBuffer = { bytes: Buffer.alloc(0), view: new DataView(new ArrayBuffer(0)) };
const KEY_WORDS = KEY_BYTES / 4;
/** Bytes of a RecvPacket frame that are not the packet. */
export const PACKET_OVERHEAD_BYTES: number = FRAME_HEADER_BYTES + KEY_BYTES;
/** Room beyond the limit, so that moving the content to the front happens once in many frames and not at each. */
const SLACK_BYTES = 63 * 1024;

/** Told about every frame that is dropped from the head of a queue: its size in bytes, header included. */
export interface DropListener {
  dropped(queue: FrameQueue, frameBytes: number): void;
}

/**
 * The memory that all queues may use together. Each queue may hold as much as is still free for all, so that the more
 * of them are stuck, the less each of them keeps, and there is always room for one that is not.
 */
export class QueueSpace {
  /** Bytes that are not taken by a buffer; below zero when the queues hold only what each of them may always hold. */
  freeBytes: number;

  constructor(bytes: number) {
    this.freeBytes = bytes;
  }
}

/**
 * Whole frames, one behind the other in one buffer, bounded in bytes; the oldest are dropped when it is full. Frames
 * delimit themselves, so dropping is moving the start. A frame of which a part was written is never dropped, for the
 * rest of it must follow.
 */
export class FrameQueue {
  readonly #limitBytes: number;
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
  /** Of the frames, how many were there at the last {@link dropAged}. They are the first ones. */
  #agedFrames = 0;
  /** How full the buffer was when it was last given back: a busy queue begins with what it needed before. */
  #usualBytes = 0;

  /** `limitBytes` must hold at least one largest frame. */
  constructor(limitBytes: number, space: QueueSpace, listener: DropListener) {
    this.#limitBytes = limitBytes;
    this.#space = space;
    this.#listener = listener;
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

  /** Bytes of that frame that were written already. */
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
   * The same for a RecvPacket frame that is made here: its source key as little-endian words, and the packet
   * `[from, to)` of `buffer`.
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

  /** The same for a ForwardPacket frame, which has the key of the destination, too. */
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
    // However scarce the space for all queues is, each may hold one largest frame.
    const limit = Math.min(this.#limitBytes, Math.max(this.#space.freeBytes, MAX_PACKET_FRAME_BYTES));
    while (this.bytes + size > limit && this.#frames > 0) this.#dropOldest();
    if (this.#end + size > this.#memory.bytes.length) this.#makeRoom(size, limit + SLACK_BYTES);
  }

  /** Drops the frames that were there at the last call of this already; called at intervals, it bounds how long they wait. */
  dropAged(): void {
    while (this.#agedFrames > 0) this.#dropOldest();
    this.#agedFrames = this.#frames;
  }

  /** Takes `bytes` that were written off the front; returns how many whole frames ended within them. */
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

  /** Forgets the rest of a frame whose first part was written, for its connection is gone. False when there is none. */
  dropUnfinished(): boolean {
    if (this.#unfinishedBytes === 0) return false;
    this.#start += this.#unfinishedBytes;
    this.#unfinishedBytes = this.#begunBytes = 0;
    if (this.#frames === 0) this.clear();
    return true;
  }

  /** Forgets all and gives the buffer back. */
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
