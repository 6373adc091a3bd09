import type { OutgoingFrames } from '../../client/outgoing.ts';
import type { Counters } from '../../observe/counters.ts';
import type { Stream } from '../../transport/port.ts';
import { encodeFrame, FrameType } from '../../wire/frames.ts';
import { FORWARD_PACKET_OVERHEAD_BYTES } from '../../wire/mesh-frames.ts';
import { type DropListener, FrameQueue, type QueueSpace } from '../session/frame-queue.ts';

/** Limit of the control frames of a link in bytes: our pings, and answers to those of the other relay. */
const CONTROL_BYTES = 65_536;

/**
 * The frames that wait to be written to another relay of the region: first control frames, then packets, of which the
 * oldest are dropped when there are too many. The queue outlives the connection: packets wait for the next one, for a
 * limited time.
 */
export class LinkQueue implements OutgoingFrames, DropListener {
  readonly #control: FrameQueue;
  readonly #packets: FrameQueue;
  /** Packets and payload bytes that the stream took. */
  sentPackets = 0;
  sentBytes = 0;
  /** The same for those that were dropped. */
  droppedPackets = 0;
  droppedBytes = 0;
  /** Bytes that the stream took, frames of all types: moves while the other relay reads. */
  writtenBytes = 0;

  readonly #counters: Counters;

  /** `limitBytes` bounds the packets; `space` is shared with all other queues. */
  constructor(limitBytes: number, space: QueueSpace, counters: Counters) {
    this.#counters = counters;
    this.#control = new FrameQueue(CONTROL_BYTES, space, this);
    this.#packets = new FrameQueue(limitBytes, space, this);
  }

  /** Sets the bound of the packets. */
  setLimit(bytes: number): void {
    this.#packets.limitBytes = bytes;
  }

  /** Bytes that wait to be written, headers included. */
  get pendingBytes(): number {
    return this.#control.bytes + this.#packets.bytes;
  }

  /** Queues a ForwardPacket frame: the packet `[from, to)` of `buffer` between two keys as little-endian words. */
  forward(source: Int32Array, destination: Int32Array, buffer: Buffer, from: number, to: number): void {
    this.#packets.appendForward(source, destination, buffer, from, to);
  }

  reserve(bytes: number): boolean {
    return this.#control.bytes + bytes <= CONTROL_BYTES;
  }

  addPacket(destination: Uint8Array, packet: Uint8Array): void {
    this.add(encodeFrame(FrameType.SendPacket, destination, packet));
  }

  add(frame: Uint8Array): boolean {
    if (!this.reserve(frame.length)) return false;
    this.#control.append(Buffer.from(frame.buffer, frame.byteOffset, frame.length), 0, frame.length);
    return true;
  }

  flush(stream: Stream): void {
    // Nothing may come between the two parts of a frame.
    if (!this.#write(this.#packets, this.#packets.unfinishedBytes, stream)) return;
    if (this.#write(this.#control, this.#control.bytes, stream)) {
      this.#write(this.#packets, this.#packets.bytes, stream);
    }
  }

  /** Drops the packets that already waited at the last call. */
  dropAged(): void {
    this.#packets.dropAged();
  }

  /** Called when the connection is gone. A frame that was partly written is lost, and control frames are dropped. */
  disconnected(): void {
    this.#control.clear();
    const { begunBytes, unfinishedBytes } = this.#packets;
    if (this.#packets.dropUnfinished()) this.#count(begunBytes + unfinishedBytes);
  }

  /** Drops everything: there will be no further connection. */
  close(): void {
    this.disconnected();
    const { frames, bytes } = this.#packets;
    this.droppedPackets += frames;
    this.droppedBytes += bytes - frames * FORWARD_PACKET_OVERHEAD_BYTES;
    this.#packets.clear();
  }

  dropped(queue: FrameQueue, frameBytes: number): void {
    if (queue === this.#packets) this.#count(frameBytes);
  }

  #count(frameBytes: number): void {
    this.droppedPackets++;
    this.droppedBytes += frameBytes - FORWARD_PACKET_OVERHEAD_BYTES;
  }

  /** Offers `wanted` bytes from the front of a queue; true when all were taken. */
  #write(queue: FrameQueue, wanted: number, stream: Stream): boolean {
    if (wanted === 0) return true;
    const taken = stream.write(queue.buffer, queue.start, queue.start + wanted);
    if (taken <= 0) return false;
    this.writtenBytes += taken;
    const { begunBytes } = queue;
    const frames = queue.consume(taken);
    if (queue === this.#packets) {
      const bytes = begunBytes + taken - queue.begunBytes - frames * FORWARD_PACKET_OVERHEAD_BYTES;
      this.sentPackets += frames;
      this.sentBytes += bytes;
      this.#counters.packetsForwardedOut += frames;
      this.#counters.bytesForwardedOut += bytes;
    }
    return taken === wanted;
  }
}
