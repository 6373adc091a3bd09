import type { DerpClient } from '../../client/derp-client.ts';
import { SEND_PACKET_OVERHEAD_BYTES, writeSendPacket } from '../../wire/client-frames.ts';
import type { Histogram } from './histogram.ts';
import { noPackets, type PacketCounts, type PairResult } from './messages.ts';
import { PacketFault, sequenceOf, timeOf, type PacketShape } from './payload.ts';
import type { ClassName, Sending } from './plan.ts';
import { Arrival, SequenceTracker } from './sequence-tracker.ts';

/** Room for a Pong in addition to the waiting packets. */
const PONG_BYTES = 64;
/** Longest delay behind the schedule, in milliseconds. A sender that is later skips packets. */
const MAX_BEHIND_MS = 200;
/** Packets that a pair sends before the next pair sends. */
const MAX_PACKETS_PER_TURN = 32;

/** How many bytes a sender's queue must hold for `coalesce` packets of `packetBytes` bytes in one write. */
export function sendQueueBytes(packetBytes: number, coalesce: number): number {
  return coalesce * (SEND_PACKET_OVERHEAD_BYTES + packetBytes) + PONG_BYTES;
}

/** Parameters of a {@link Pair}. */
export interface PairParts {
  readonly className: ClassName;
  readonly sender: DerpClient;
  readonly receiver: DerpClient;
  readonly shape: PacketShape;
  readonly sending: Sending;
  /** Packets in one write. */
  readonly coalesce: number;
  /** Delay of this pair's schedule after the first pair's, as part of the interval, 0 to 1. */
  readonly phase: number;
  /** Takes the latencies, in microseconds. */
  readonly latency: Histogram;
  /** One of the two connections has ended. */
  readonly closed: (error: Error | null) => void;
  /** The pair has more to send and waits for its next turn. */
  readonly wantsToSendMore: () => void;
}

/** A sender and a receiver. The sender writes packets, the receiver checks them. */
export class Pair {
  readonly className: ClassName;
  readonly #parts: PairParts;
  readonly #sender: DerpClient;
  readonly #frame: Buffer;
  readonly #counts: PacketCounts = noPackets();
  readonly #tracker = new SequenceTracker();
  readonly #intervalMs: number;
  readonly #window: number;
  #sending = false;
  #startMs = 0;
  /** Packets of the schedule that were sent or skipped. */
  #scheduled = 0;
  #turnPackets = 0;
  /** The time since which the relay takes no more bytes, or −1. */
  #blockedAtMs = -1;
  /** Packets of the window that count as lost, and the number of arrived packets at the last check. */
  #givenUp = 0;
  #arrivedBefore = -1;
  #deliveredBefore = 0;

  constructor(parts: PairParts) {
    const { sender, receiver, shape, sending } = parts;
    this.#parts = parts;
    this.className = parts.className;
    this.#sender = sender;
    this.#intervalMs = sending.kind === 'rate' ? 1000 / sending.packetsPerSecond : 0;
    this.#window = sending.kind === 'window' ? sending.packets : 0;
    this.#frame = Buffer.allocUnsafeSlow(SEND_PACKET_OVERHEAD_BYTES + shape.bytes);
    writeSendPacket(this.#frame, 0, receiver.publicKey, Buffer.alloc(shape.bytes));
    shape.prepare(this.#frame, SEND_PACKET_OVERHEAD_BYTES);
    sender.handler = { drained: () => this.#drained(), closed: (error) => this.#closed(error) };
    receiver.handler = {
      packet: (source, buffer, from, to) => this.#packet(source, buffer, from, to),
      closed: (error) => this.#closed(error),
    };
  }

  /** False once one of its connections has ended. */
  get isOpen(): boolean {
    return this.#sender.isOpen && this.#parts.receiver.isOpen;
  }

  /** True when all sent packets have arrived or count as lost. */
  get isQuiet(): boolean {
    return !this.isOpen || this.#tracker.arrived + this.#counts.corrupted >= this.#counts.sent;
  }

  /** Counts since the start; valid until the next packet. */
  get counts(): Readonly<PacketCounts> {
    this.#counts.missing = this.#tracker.missing;
    return this.#counts;
  }

  /** Starts to send; `nowMs` is a time of `performance.now()`. */
  begin(nowMs: number): void {
    this.#sending = true;
    this.#startMs = nowMs + this.#parts.phase * this.#intervalMs;
  }

  /** Packets that arrive from now on belong to the measurement. */
  measure(): void {
    this.#deliveredBefore = this.#counts.delivered;
  }

  /** Sends nothing more. */
  stop(): void {
    this.#sending = false;
  }

  /** Resets both connections. */
  abort(): void {
    this.#sending = false;
    this.#sender.abort();
    this.#parts.receiver.abort();
  }

  /** Returns the result of the pair. */
  result(): PairResult {
    const counts = { ...this.counts };
    return { className: this.className, counts, measuredDelivered: counts.delivered - this.#deliveredBefore };
  }

  /** Sends the packets that are due at `nowMs`. */
  pump(nowMs: number): void {
    this.#turnPackets = 0;
    if (!this.#sending || !this.isOpen) return;
    if (this.#blockedAtMs >= 0) this.#leaveOut(nowMs);
    else this.#send(nowMs);
  }

  /** Counts the packets in flight as lost when none has arrived since the last call. */
  unstall(): void {
    const { arrived } = this.#tracker;
    if (this.#window > 0 && arrived === this.#arrivedBefore) this.#givenUp = this.#counts.sent - arrived;
    this.#arrivedBefore = arrived;
  }

  #drained(): void {
    const nowMs = performance.now();
    if (this.#sending && this.isOpen) this.#send(nowMs);
  }

  #send(nowMs: number): void {
    const { coalesce, sending, wantsToSendMore } = this.#parts;
    this.#leaveOut(nowMs);
    if (coalesce > 1) this.#sender.cork();
    let blocked = false;
    let full = false;
    while (!blocked && !full && this.#isDue(nowMs)) {
      // A window limits itself. The other kinds are called from callbacks that run first, and could block the event
      // loop.
      full = this.#turnPackets >= MAX_PACKETS_PER_TURN && sending.kind !== 'window';
      blocked = !full && !this.#write(nowMs);
    }
    if (!blocked) this.#blockedAtMs = -1;
    else if (this.#blockedAtMs < 0) this.#blockedAtMs = nowMs;
    if (coalesce > 1) this.#sender.uncork();
    if (full) wantsToSendMore();
  }

  #isDue(nowMs: number): boolean {
    switch (this.#parts.sending.kind) {
      case 'rate':
        return this.#startMs + this.#scheduled * this.#intervalMs <= nowMs;
      case 'window':
        return this.#counts.sent - this.#tracker.arrived - this.#givenUp < this.#window;
      case 'flood':
        return true;
    }
  }

  /** Skips packets that are too far behind the schedule. */
  #leaveOut(nowMs: number): void {
    if (this.#intervalMs === 0) return;
    const due = Math.floor((nowMs - this.#startMs) / this.#intervalMs) + 1;
    const excess = due - this.#scheduled - Math.ceil(MAX_BEHIND_MS / this.#intervalMs) - 1;
    if (excess <= 0) return;
    if (this.#blockedAtMs >= 0) this.#counts.skipped += excess;
    else this.#counts.missed += excess;
    this.#scheduled += excess;
  }

  #write(nowMs: number): boolean {
    // The latency counts from the time at which the packet was due: otherwise a slow relay looks fast.
    const scheduledMs = this.#startMs + this.#scheduled * this.#intervalMs;
    const timeMs = this.#blockedAtMs >= 0 && this.#intervalMs > 0 ? Math.max(scheduledMs, this.#blockedAtMs) : nowMs;
    this.#parts.shape.stamp(this.#frame, SEND_PACKET_OVERHEAD_BYTES, this.#counts.sent, timeMs);
    if (!this.#sender.sendFrame(this.#frame)) return false;
    this.#counts.sent++;
    this.#turnPackets++;
    this.#scheduled++;
    return true;
  }

  #packet(source: Buffer, buffer: Buffer, from: number, to: number): void {
    const nowMs = performance.now();
    const counts = this.#counts;
    const fault = this.#parts.shape.check(buffer, from, to);
    if (fault === PacketFault.Corrupted) {
      counts.corrupted++;
    } else if (fault === PacketFault.Misrouted || !source.equals(this.#sender.publicKey)) {
      counts.misrouted++;
    } else {
      this.#arrived(sequenceOf(buffer, from), nowMs - timeOf(buffer, from));
    }
    if (this.#window > 0 && this.#sending && this.#blockedAtMs < 0) this.#send(nowMs);
  }

  #arrived(sequence: number, latencyMs: number): void {
    const arrival = this.#tracker.take(sequence);
    if (arrival === Arrival.Duplicated) {
      this.#counts.duplicated++;
      return;
    }
    if (arrival === Arrival.Reordered) this.#counts.reordered++;
    this.#counts.delivered++;
    this.#parts.latency.add(latencyMs * 1000);
  }

  #closed(error: Error | null): void {
    if (!this.#sending && error === null) return;
    this.#parts.closed(error);
  }
}
