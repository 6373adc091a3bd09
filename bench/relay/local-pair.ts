import { Clock } from '../../src/base/clock.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { connectTo } from './client.ts';
import type { RelayFiles } from './programs.ts';

/** Interval between two packets, in milliseconds. */
const PAIR_EVERY_MS = 2;

/** Two clients of a relay, of which one sends to the other all the time. */
export class LocalPair {
  readonly #clock: Clock;
  readonly #sender: DerpClient;
  readonly #receiver: DerpClient;
  readonly #timer: NodeJS.Timeout;
  /** When each packet was sent, and how long it took, in milliseconds. */
  readonly #arrivals: (readonly [at: number, lateMs: number])[] = [];
  #watched: readonly Buffer[] = [];
  readonly #startedAt = performance.now();
  #sent = 0;

  private constructor(clock: Clock, sender: DerpClient, receiver: DerpClient) {
    this.#clock = clock;
    this.#sender = sender;
    this.#receiver = receiver;
    receiver.handler = {
      packet: (_source, buffer, from) => {
        const sentAt = buffer.readDoubleLE(from);
        this.#arrivals.push([sentAt, performance.now() - sentAt]);
      },
    };
    this.#timer = setInterval(() => this.#send(), 1);
  }

  static async connect(address: string, files: RelayFiles): Promise<LocalPair> {
    const clock = new Clock();
    clock.start();
    const connect = (): Promise<DerpClient> => connectTo(address, files, { clock });
    return new LocalPair(clock, await connect(), await connect());
  }

  /** Sends the packets to these keys too, from now on. */
  begin(watched: readonly Buffer[]): void {
    this.#watched = watched;
  }

  /** Returns the delays of packets that were sent between the times `from` and `to`, all in milliseconds of this process. */
  delays(from: number, to: number): { readonly p99Ms: number; readonly longestMs: number } {
    const late = this.#arrivals.filter(([at]) => at >= from && at < to).map(([, ms]) => ms);
    late.sort((a, b) => a - b);
    return { p99Ms: late[Math.floor(late.length * 0.99)]!, longestMs: late.at(-1)! };
  }

  close(): void {
    clearInterval(this.#timer);
    this.#sender.abort();
    this.#receiver.abort();
    this.#clock.stop();
  }

  /** Sends the packets that are due. */
  #send(): void {
    const due = Math.floor((performance.now() - this.#startedAt) / PAIR_EVERY_MS);
    if (due <= this.#sent) return;
    this.#sent = due;
    const packet = Buffer.alloc(8);
    packet.writeDoubleLE(performance.now());
    this.#sender.send(this.#receiver.publicKey, packet);
    for (const key of this.#watched) this.#sender.send(key, packet);
  }
}
