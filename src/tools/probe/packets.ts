import { randomBytes } from 'node:crypto';
import { createHistogram } from 'node:perf_hooks';
import { closedError } from '../../client/errors.ts';
import type { DerpClient } from '../../client/derp-client.ts';
import { runStep, type Outcome, type StepResult } from './step.ts';

/** About the size of a full packet in a tunnel. */
const PACKET_BYTES = 1200;
const SEQUENCE_BYTES = 4;
const MAX_PACKET_WAIT_MS = 2000;
/** After this many lost packets in a row, the relay counts as not relaying. */
const MAX_LOST_IN_A_ROW = 3;
const NS_PER_MS = 1_000_000;

/** Sends packets from `a` to `b` and back, one at a time, and measures the round-trip times. */
export async function packetsStep(
  a: DerpClient,
  b: DerpClient,
  packets: number,
  timeoutMs: number,
): Promise<StepResult> {
  return runStep('packets', async () => {
    const pingMs = await a.ping(timeoutMs);
    const exchange = new PacketExchange(a, b, Math.min(timeoutMs, MAX_PACKET_WAIT_MS));
    await exchange.run(packets);
    return exchange.outcome(pingMs);
  });
}

class PacketExchange {
  readonly #a: DerpClient;
  readonly #b: DerpClient;
  readonly #waitMs: number;
  readonly #packet: Buffer = randomBytes(PACKET_BYTES);
  readonly #roundTripsNs = createHistogram();
  #sent = 0;
  #lost = 0;
  #altered = 0;
  #arrived: (() => void) | null = null;
  #failed: ((error: Error) => void) | null = null;

  constructor(a: DerpClient, b: DerpClient, waitMs: number) {
    this.#a = a;
    this.#b = b;
    this.#waitMs = waitMs;
    const closed = (): void => this.#failed?.(closedError('the relay closed it while packets were in flight'));
    b.handler = {
      packet: (source, buffer, from, to) => b.send(source, buffer.subarray(from, to)),
      closed,
    };
    a.handler = { packet: (source, buffer, from, to) => this.#returned(source, buffer, from, to), closed };
  }

  async run(packets: number): Promise<void> {
    let lostInARow = 0;
    while (this.#sent < packets && lostInARow < MAX_LOST_IN_A_ROW) {
      lostInARow = (await this.#exchange()) ? 0 : lostInARow + 1;
    }
  }

  outcome(pingMs: number): Outcome {
    const percentile = (percent: number): number => this.#roundTripsNs.percentile(percent) / NS_PER_MS;
    const arrived = this.#sent - this.#lost;
    const [p50Ms, p99Ms] = arrived === 0 ? [0, 0] : [percentile(50), percentile(99)];
    const details = { sent: this.#sent, lost: this.#lost, altered: this.#altered, p50Ms, p99Ms, pingMs };
    const times = `round trip p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, ping ${pingMs.toFixed(1)} ms`;
    if (this.#lost === 0 && this.#altered === 0) {
      return { text: `${this.#sent} packets, ${times}`, ms: p50Ms, details };
    }
    return {
      // A relay may drop a packet when it must; it relays as long as most arrive.
      status: arrived > this.#sent / 2 && this.#altered === 0 ? 'warning' : 'failed',
      text: `${this.#lost} of ${this.#sent} packets lost, ${this.#altered} altered; ${times}`,
      fix: "Check the relay's drop counters. Causes are a full queue, a rate limit, or two relays without mesh behind one address.",
      details,
    };
  }

  /** One packet; true when it came back in time. */
  async #exchange(): Promise<boolean> {
    this.#packet.writeUInt32BE(this.#sent++, 0);
    const startedAtMs = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const cameBack = await new Promise<boolean>((resolve, reject) => {
      this.#arrived = () => resolve(true);
      this.#failed = reject;
      timer = setTimeout(() => resolve(false), this.#waitMs);
      if (!this.#a.isOpen || !this.#b.isOpen) reject(closedError('the relay closed it'));
      this.#a.send(this.#b.publicKey, this.#packet);
    });
    clearTimeout(timer);
    if (cameBack) this.#roundTripsNs.record(Math.max(1, Math.round((performance.now() - startedAtMs) * NS_PER_MS)));
    else this.#lost++;
    return cameBack;
  }

  #returned(source: Buffer, buffer: Buffer, from: number, to: number): void {
    const isThisOne = to - from >= SEQUENCE_BYTES && buffer.readUInt32BE(from) === this.#packet.readUInt32BE(0);
    // This is a late answer to a packet that was counted as lost.
    if (!isThisOne) return;
    const isWhole = source.equals(this.#b.publicKey) && buffer.subarray(from, to).equals(this.#packet);
    if (!isWhole) this.#altered++;
    this.#arrived?.();
  }
}
