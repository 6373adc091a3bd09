import { CLOCK_TICK_MS, SLOW_TICK_MS, type Clock } from '../../base/clock.ts';
import type { FairShare } from './fair-share.ts';
import type { SharedUse, ThreadUse } from './shared-use.ts';

/** What a thread keeps of the total beyond what its clients send: they may want more at any time. */
const HEADROOM = 1.25;
/** The part of an equal share that a thread keeps when its clients send nothing. */
const IDLE_SHARE = 0.05;

export interface ThreadSharesParts {
  readonly use: SharedUse;
  readonly clock: Clock;
  /** The memory of all queues, in all threads together. */
  readonly queueBytes: number;
  /** That of this thread. Its free bytes are those of all threads. */
  readonly space: { freeBytes: number };
  /** The total limit as this thread has it; null: there is none. */
  readonly share: () => FairShare | null;
  /** For all threads together, in bytes per second. */
  readonly totalBytesPerSecond: () => number;
}

/**
 * Keeps what is limited for all threads together in step, with every tick of the clock: each thread may use the memory of
 * queues that the others leave, and has the part of the total that its clients need. A packet costs nothing for it.
 */
export class ThreadShares {
  readonly #parts: ThreadSharesParts;
  readonly #unsubscribe: () => void;
  readonly #tickSoon = (): void => this.#parts.clock.tickBy(this.#tickedAt + CLOCK_TICK_MS);
  #queuedByOthers = 0;
  #tickedAt: number;

  constructor(parts: ThreadSharesParts) {
    this.#parts = parts;
    this.#tickedAt = parts.clock.now;
    this.#unsubscribe = parts.clock.onTick((now) => this.#tick(now), SLOW_TICK_MS);
  }

  /** Memory of what waits in this thread, in bytes. */
  get queuedBytes(): number {
    const { queueBytes, space } = this.#parts;
    return queueBytes - space.freeBytes - this.#queuedByOthers;
  }

  close(): void {
    this.#unsubscribe();
    this.#parts.use.clear();
  }

  #tick(now: number): void {
    const { use, clock, space, share, totalBytesPerSecond } = this.#parts;
    const limit = share();
    const seconds = Math.max(now - this.#tickedAt, 1) / 1000;
    this.#tickedAt = now;
    const own: ThreadUse = {
      queuedBytes: this.queuedBytes,
      bytesPerSecond: (limit?.takeUsedBytes() ?? 0) / seconds,
      waitingWeight: limit?.waitingWeight ?? 0,
    };
    use.publish(own);
    const others = use.others();
    const queued = others.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0);
    space.freeBytes -= queued - this.#queuedByOthers;
    this.#queuedByOthers = queued;
    if (limit === null) return;
    limit.setRate(partOfTotal(totalBytesPerSecond(), own, others), now);
    // One that has begun to wait must not wait for a slow tick.
    limit.waits = this.#tickSoon;
    if (own.waitingWeight > 0) clock.tickBy(now + CLOCK_TICK_MS);
  }
}

/**
 * The bytes per second that a thread may let through, of a `total` for it and the `others`. Threads in which nobody waits keep
 * what their clients send and a little more, at most an equal part. The rest is for the threads in which clients wait, by the
 * shares of these. All threads together get the total.
 */
export function partOfTotal(total: number, own: ThreadUse, others: readonly ThreadUse[]): number {
  const threads = others.length + 1;
  const equalPart = total / threads;
  const kept = ({ waitingWeight, bytesPerSecond }: ThreadUse): number =>
    waitingWeight > 0 ? 0 : Math.min(Math.max(bytesPerSecond * HEADROOM, equalPart * IDLE_SHARE), equalPart);
  let rest = total - kept(own);
  let weights = own.waitingWeight;
  for (const other of others) {
    rest -= kept(other);
    weights += other.waitingWeight;
  }
  if (weights === 0) return kept(own) + rest / threads;
  return own.waitingWeight > 0 ? (rest * own.waitingWeight) / weights : kept(own);
}
