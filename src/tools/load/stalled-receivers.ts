import { Clock } from '../../base/clock.ts';
import type { DerpClient } from '../../client/derp-client.ts';
import { SEND_PACKET_OVERHEAD_BYTES, writeSendPacket } from '../../wire/client-frames.ts';
import { FRAME_HEADER_BYTES } from '../../wire/frames.ts';
import type { Opener } from './opener.ts';
import { PacketShape } from './payload.ts';
import type { LoadPlan, WorkerPlan } from './plan.ts';

/** No pair has this number. */
const NO_PAIR = 0xffff_ffff;
/** A receiver that does not read notices its end only when it writes: each writes this often. */
const SIGN_OF_LIFE_MS = 2000;
const SIGN_EVERY_MS = 50;
const QUEUE_BYTES = 256;
/** Packets that may wait while the relay does not read from the feeder. */
const FEEDER_QUEUE_PACKETS = 64;
const MAX_BEHIND_MS = 200;
const MAX_PACKETS_PER_TURN = 256;

/** Receivers that log in and never read, and a feeder that keeps sending to them. */
export class StalledReceivers {
  readonly #group: NonNullable<LoadPlan['stalled']>;
  readonly #opener: Opener;
  readonly #clock: Clock;
  /** Never ticks, because the client's deadline for a silent relay must not apply to a client that does not read. */
  readonly #stopped = new Clock();
  readonly #shape: PacketShape;
  readonly #frame: Buffer;
  /** Receivers that the relay has not ended. */
  readonly #receivers: DerpClient[] = [];
  readonly #byKey = new Map<string, DerpClient>();
  #feeder: DerpClient | null = null;
  #next = 0;
  #nextSign = 0;
  #signTimer: NodeJS.Timeout | undefined;
  #startMs = 0;
  #scheduled = 0;
  #sequence = 0;

  constructor(plan: WorkerPlan, group: NonNullable<LoadPlan['stalled']>, opener: Opener, clock: Clock) {
    this.#group = group;
    this.#opener = opener;
    this.#clock = clock;
    this.#frame = Buffer.allocUnsafeSlow(SEND_PACKET_OVERHEAD_BYTES + group.packetBytes);
    writeSendPacket(this.#frame, 0, Buffer.alloc(32), Buffer.alloc(group.packetBytes));
    this.#shape = new PacketShape(group.packetBytes, plan.run, NO_PAIR);
    this.#shape.prepare(this.#frame, SEND_PACKET_OVERHEAD_BYTES);
  }

  /** Logs all of them in; `progress` is called after each. */
  async open(progress: () => void): Promise<void> {
    if (this.#group.receivers === 0) return;
    const feederQueueBytes = FEEDER_QUEUE_PACKETS * (SEND_PACKET_OVERHEAD_BYTES + this.#group.packetBytes);
    const feeder = await this.#opener.open(this.#clock, feederQueueBytes);
    this.#feeder = feeder;
    feeder.handler = {
      peerGone: (key) => this.#cut(key.toString('hex')),
      closed: (error) => this.#opener.disconnected(error),
    };
    await this.#opener.each(this.#group.receivers, async () => {
      const client = await this.#opener.open(this.#stopped, QUEUE_BYTES);
      client.pause();
      // The relay sends PeerGone to the feeder when a receiver has ended.
      client.send(feeder.publicKey, Buffer.alloc(1));
      const key = client.publicKey.toString('hex');
      client.handler = { closed: () => this.#cut(key) };
      this.#receivers.push(client);
      this.#byKey.set(key, client);
      this.#opener.counts.stalled++;
      progress();
    });
  }

  /** Starts to feed them. */
  begin(nowMs: number): void {
    this.#startMs = nowMs;
    this.#signTimer = setInterval(() => this.#signs(), SIGN_EVERY_MS);
  }

  /** Sends what is due, each receiver in turn. */
  feed(nowMs: number): void {
    const feeder = this.#feeder;
    if (feeder?.isOpen !== true) return;
    const perMs = this.#group.packetsPerSecond / 1000;
    const due = Math.floor((nowMs - this.#startMs) * perMs);
    // Packets that the relay does not take are skipped: the goal is to fill receivers, not to measure a rate.
    this.#scheduled = Math.max(this.#scheduled, Math.floor(due - MAX_BEHIND_MS * perMs));
    for (let i = 0; i < MAX_PACKETS_PER_TURN && this.#scheduled < due; i++) {
      const receiver = this.#receivers[this.#next++ % Math.max(1, this.#receivers.length)];
      if (receiver === undefined) return;
      this.#frame.set(receiver.publicKey, FRAME_HEADER_BYTES);
      this.#shape.stamp(this.#frame, SEND_PACKET_OVERHEAD_BYTES, this.#sequence++ >>> 0, nowMs);
      if (!feeder.sendFrame(this.#frame)) return;
      this.#opener.counts.fedBytes += this.#group.packetBytes;
      this.#scheduled++;
    }
  }

  /** Stops sending. */
  stop(): void {
    clearInterval(this.#signTimer);
  }

  /** Resets all connections. */
  abort(): void {
    for (const client of [...this.#receivers, this.#feeder]) {
      if (client === null) continue;
      client.handler = {};
      client.abort();
    }
  }

  /** The relay reports that the receiver has left, or its connection has ended. */
  #cut(key: string): void {
    const client = this.#byKey.get(key);
    if (client === undefined) return;
    this.#byKey.delete(key);
    this.#receivers.splice(this.#receivers.indexOf(client), 1);
    this.#opener.counts.open--;
    this.#opener.counts.cut++;
    client.handler = {};
    client.abort();
  }

  #signs(): void {
    const atOnce = Math.ceil((this.#receivers.length * SIGN_EVERY_MS) / SIGN_OF_LIFE_MS);
    for (let i = 0; i < atOnce; i++) {
      const receiver = this.#receivers[this.#nextSign++ % Math.max(1, this.#receivers.length)];
      receiver?.notePreferred(false);
    }
  }
}
