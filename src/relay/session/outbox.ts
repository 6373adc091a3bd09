import { DropReason, PacketKind, type Counters } from '../../observe/counters.ts';
import type { Stream } from '../../transport/port.ts';
import type { Traffic } from './traffic.ts';
import { FrameQueue, PACKET_OVERHEAD_BYTES, QueueSpace, type DropListener } from './frame-queue.ts';

/** Limit of waiting control frames. They are never dropped, so a connection over the limit is ended. */
const CONTROL_QUEUE_BYTES = 65_536;

export interface OutboxLimits {
  /** Bytes of ordinary packets that wait for one connection. */
  readonly queueBytes: number;
  /** Bytes of disco packets that wait for one connection. */
  readonly discoQueueBytes: number;
}

/**
 * Bytes offered at a time to a stream with a slow reader: bytes that the stream has taken cannot be dropped any more.
 */
const SMALLEST_OFFER_BYTES = 16_384;
/** Larger than any queue: no limit. */
const UNBOUNDED = Infinity;
/** From this size on, writes are no longer limited. */
const LARGE_OFFER_BYTES = 262_144;

/** Stands for each queue that an outbox does not need at the moment; nothing is ever put into it. */
const NO_QUEUE = new FrameQueue(0, new QueueSpace(0), { dropped: () => undefined });

/** The result of a flush. */
export const FlushResult = { Idle: 0, Written: 1, Blocked: 2, Closed: 3 } as const;
export type FlushResult = (typeof FlushResult)[keyof typeof FlushResult];

/**
 * The frames that wait for one connection: control frames first, then disco packets, then other packets. Each packet is
 * copied in once. All queued frames are offered to the stream once per turn of the event loop. The two packet queues
 * are limited in bytes and time and drop their oldest packets, so a blocked reader costs a known amount of memory and
 * never delays a sender. A queue is made when something is put into it: an idle connection has none.
 */
export class Outbox implements DropListener {
  readonly #stream: Stream;
  readonly #counters: Counters;
  readonly #traffic: Traffic;
  readonly #limits: OutboxLimits;
  readonly #space: QueueSpace;
  #control: FrameQueue = NO_QUEUE;
  #disco: FrameQueue = NO_QUEUE;
  #packets: FrameQueue = NO_QUEUE;
  /** Most bytes that one write offers. */
  #offerBytes = UNBOUNDED;

  /** `space` is what all outboxes have together; `traffic` counts for this connection what `counters` count for all. */
  constructor(stream: Stream, counters: Counters, limits: OutboxLimits, space: QueueSpace, traffic: Traffic) {
    this.#stream = stream;
    this.#counters = counters;
    this.#traffic = traffic;
    this.#limits = limits;
    this.#space = space;
  }

  get bytes(): number {
    return this.#control.bytes + this.#disco.bytes + this.#packets.bytes;
  }

  /** Bytes of control frames alone. */
  get controlBytes(): number {
    return this.#control.bytes;
  }

  /** Queues a RecvPacket frame: the packet `[from, to)` of `buffer`, behind the key of its source as little-endian words. */
  packet(keyWords: Int32Array, buffer: Buffer, from: number, to: number, kind: PacketKind): void {
    let queue: FrameQueue;
    if (kind === PacketKind.Disco) {
      if (this.#disco === NO_QUEUE) this.#disco = new FrameQueue(this.#limits.discoQueueBytes, this.#space, this);
      queue = this.#disco;
    } else {
      if (this.#packets === NO_QUEUE) this.#packets = new FrameQueue(this.#limits.queueBytes, this.#space, this);
      queue = this.#packets;
    }
    queue.appendPacket(keyWords, buffer, from, to);
  }

  /** Queues a control frame; false when too many wait and the connection should be ended. */
  control(frame: Buffer): boolean {
    if (this.#control.bytes + frame.length > CONTROL_QUEUE_BYTES) return false;
    if (this.#control === NO_QUEUE) this.#control = new FrameQueue(CONTROL_QUEUE_BYTES, this.#space, this);
    this.#control.append(frame, 0, frame.length);
    return true;
  }

  /** Gives up the queues of packets that are empty. They are made again for the next packet. */
  shrink(): void {
    if (this.#disco.bytes === 0) this.#disco = NO_QUEUE;
    if (this.#packets.bytes === 0) this.#packets = NO_QUEUE;
  }

  /** The reader is slow: offers few bytes at a time from now on. */
  offerLess(): void {
    this.#offerBytes = SMALLEST_OFFER_BYTES;
  }

  /** The reader has kept up: doubles the offer, up to everything. */
  offerMore(): void {
    this.#offerBytes = this.#offerBytes * 2 < LARGE_OFFER_BYTES ? this.#offerBytes * 2 : UNBOUNDED;
  }

  /** The reader was slow a moment ago. */
  get offersLittle(): boolean {
    return this.#offerBytes !== UNBOUNDED;
  }

  /** Writes as much as the stream takes. */
  flush(): FlushResult {
    const rest = this.#finishFrame();
    if (rest >= FlushResult.Blocked) return rest;
    const controlled = this.#write(this.#control, this.#control.bytes, false);
    if (controlled >= FlushResult.Blocked) return controlled;
    this.#control = NO_QUEUE;
    const disco = this.#write(this.#disco, this.#disco.bytes, true);
    if (disco >= FlushResult.Blocked) return disco;
    const packets = this.#write(this.#packets, this.#packets.bytes, true);
    return packets === FlushResult.Idle && (rest | controlled | disco) > 0 ? FlushResult.Written : packets;
  }

  /** Some streams take a part of the offer. Nothing may be written between the two parts of a frame. */
  #finishFrame(): FlushResult {
    const queue = this.#packets.unfinishedBytes > 0 ? this.#packets : this.#disco;
    return this.#write(queue, queue.unfinishedBytes, true);
  }

  /** Drops the packets that were already waiting at the last call. */
  dropAged(): void {
    this.#disco.dropAged();
    this.#packets.dropAged();
  }

  /** The connection has ended: counts the waiting packets as dropped. */
  close(): void {
    this.#countLeft(this.#disco, PacketKind.Disco);
    this.#countLeft(this.#packets, PacketKind.Other);
    this.#control.clear();
  }

  #write(queue: FrameQueue, wanted: number, packets: boolean): FlushResult {
    if (wanted === 0) return FlushResult.Idle;
    if (wanted <= this.#offerBytes) return this.#offer(queue, wanted, packets);
    let left = wanted;
    let result: FlushResult = FlushResult.Written;
    while (left > 0 && result === FlushResult.Written) {
      const part = Math.min(left, this.#offerBytes);
      result = this.#offer(queue, part, packets);
      left -= part;
    }
    return result;
  }

  #offer(queue: FrameQueue, offered: number, packets: boolean): FlushResult {
    const taken = this.#stream.write(queue.buffer, queue.start, queue.start + offered);
    if (taken < 0) return FlushResult.Closed;
    if (taken === 0) return FlushResult.Blocked;
    const begunBytes = queue.begunBytes;
    const frames = queue.consume(taken);
    const counters = this.#counters;
    counters.flush(frames);
    if (packets) {
      // Only whole frames count as sent, so that a frame whose rest is never written counts only as dropped.
      const bytes = begunBytes + taken - queue.begunBytes - frames * PACKET_OVERHEAD_BYTES;
      counters.packetsSent += frames;
      counters.bytesSent += bytes;
      this.#traffic.sent(frames, bytes);
    }
    return taken < offered ? FlushResult.Blocked : FlushResult.Written;
  }

  dropped(queue: FrameQueue, frameBytes: number): void {
    const kind = queue === this.#disco ? PacketKind.Disco : PacketKind.Other;
    this.#traffic.droppedFromQueue();
    this.#counters.drop(DropReason.QueueHead, kind, frameBytes - PACKET_OVERHEAD_BYTES);
  }

  #countLeft(queue: FrameQueue, kind: PacketKind): void {
    // A frame whose first part was written is lost, too.
    const frames = queue.frames + (queue.unfinishedBytes > 0 ? 1 : 0);
    this.#counters.dropPackets[DropReason.GoneDisconnected]![kind]! += frames;
    this.#counters.dropBytes[DropReason.GoneDisconnected]![kind]! +=
      queue.begunBytes + queue.bytes - frames * PACKET_OVERHEAD_BYTES;
    queue.clear();
  }
}
