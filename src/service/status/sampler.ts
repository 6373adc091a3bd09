import { SLOW_TICK_MS, type Clock } from '../../base/clock.ts';
import type { Rates } from '../../api/shapes.ts';
import type { CounterValues } from '../../observe/counters.ts';
import { History, HISTORY_STEP_MS } from './history.ts';
import { RateMeter } from './rate-meter.ts';

const SAMPLE_MS = 1000;

interface SamplerParts {
  readonly clock: Clock;
  readonly counters: () => CounterValues;
  /** Bytes that the UDP relay has forwarded. */
  readonly udpBytes: () => number;
  readonly residentBytes: () => number;
}

type Counted = keyof Rates | 'udpBytes' | 'cpuMs';

/** Samples the counters once a second, for rates, and keeps the history of the last hour. */
export class Sampler {
  readonly history: History = new History();
  readonly #parts: SamplerParts;
  readonly #meter = new RateMeter<Counted>();
  readonly #leaveClock: () => void;
  #sampledMs = -Infinity;
  #storedMs: number;
  #longestDelayMs = 0;
  #loopDelayMs = 0;

  constructor(parts: SamplerParts) {
    this.#parts = parts;
    this.#storedMs = parts.clock.now;
    this.#leaveClock = parts.clock.onTick((now) => this.#tick(now), SLOW_TICK_MS);
  }

  /** Returns the rates; null until two samples were taken. */
  rates(): Rates | null {
    const rates = this.#meter.rates();
    if (rates === null) return null;
    const { receivedBytes, receivedPackets, sentBytes, sentPackets, droppedPackets, refusals } = rates;
    return { receivedBytes, receivedPackets, sentBytes, sentPackets, droppedPackets, refusals };
  }

  /**
   * Returns the share of one processor that the process used in the last seconds; null until two samples were taken.
   */
  cpuShare(): number | null {
    const rates = this.#meter.rates();
    return rates === null ? null : rates.cpuMs / 1000;
  }

  /** The longest delay of the event loop in the last five seconds, in seconds. */
  get loopDelaySeconds(): number {
    return Math.max(this.#loopDelayMs, this.#longestDelayMs) / 1000;
  }

  close(): void {
    this.#leaveClock();
  }

  #tick(now: number): void {
    this.#longestDelayMs = Math.max(this.#longestDelayMs, this.#parts.clock.lateMs);
    if (now - this.#sampledMs < SAMPLE_MS) return;
    this.#sampledMs = now;
    this.#sample(now);
    if (now - this.#storedMs < HISTORY_STEP_MS) return;
    this.#storedMs = now;
    this.#store();
  }

  #sample(now: number): void {
    const counters = this.#parts.counters();
    const { user, system } = process.cpuUsage();
    this.#meter.sample(now, {
      receivedBytes: counters.bytesReceived,
      receivedPackets: counters.packetsReceived,
      sentBytes: counters.bytesSent,
      sentPackets: counters.packetsSent,
      droppedPackets: droppedPackets(counters),
      refusals: refusalCount(counters),
      udpBytes: this.#parts.udpBytes(),
      cpuMs: (user + system) / 1000,
    });
  }

  #store(): void {
    const rates = this.#meter.rates();
    this.#loopDelayMs = this.#longestDelayMs;
    this.#longestDelayMs = 0;
    if (rates === null) return;
    const { connections, queueDelaySeconds } = this.#parts.counters();
    this.history.add(Math.round(Date.now() / 1000), {
      connections,
      receivedBytesPerSecond: rates.receivedBytes,
      sentBytesPerSecond: rates.sentBytes,
      udpBytesPerSecond: rates.udpBytes,
      packetsPerSecond: rates.receivedPackets,
      droppedPacketsPerSecond: rates.droppedPackets,
      refusalsPerSecond: rates.refusals,
      queueDelaySeconds,
      loopDelaySeconds: this.#loopDelayMs / 1000,
      residentBytes: this.#parts.residentBytes(),
      cpuShare: rates.cpuMs / 1000,
    });
  }
}

/** Returns the dropped packets of all reasons and kinds. */
export function droppedPackets({ dropPackets }: Pick<CounterValues, 'dropPackets'>): number {
  return dropPackets.reduce((sum, kinds) => kinds.reduce((inner, count) => inner + count, sum), 0);
}

/** Returns the refusals of all reasons. */
export function refusalCount({ refusals }: Pick<CounterValues, 'refusals'>): number {
  return Object.values(refusals).reduce((sum, count) => sum + count, 0);
}
