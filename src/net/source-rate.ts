import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';

/** How often something may happen. */
export interface RateRule {
  /** Times within one window. 0 is no limit. */
  readonly count: number;
  readonly windowSeconds: number;
  /** How long a key that did it too often is refused; 0: to the end of its window. */
  readonly blockSeconds: number;
}

/** Keys beyond the bound share one bucket, which is as large as those of so many keys. */
const SHARED_FACTOR = 16;
/** No key of the table looks like this. */
const SHARED_KEY = '*';

interface Entry {
  endsMs: number;
  isFull: boolean;
}

/**
 * Counts events by key in bounded memory. rate-limiter-flexible counts; it answers by promise and has no bound on its
 * keys, so this class keeps its verdicts, for answers at once, and the number of its keys.
 */
export class SourceRate {
  readonly #own: RateLimiterMemory;
  readonly #shared: RateLimiterMemory;
  readonly #rule: RateRule;
  readonly #maxKeys: number;
  /** In the order in which windows started, so that those which have ended are found at its front. */
  readonly #entries = new Map<string, Entry>();
  readonly #sharedEntry: Entry = { endsMs: 0, isFull: false };

  constructor(rule: RateRule, maxKeys: number) {
    this.#rule = rule;
    this.#maxKeys = maxKeys;
    const { count, windowSeconds: duration, blockSeconds: blockDuration } = rule;
    // The verdict comes after the event that it is about, so the event that reaches the limit has to be the one refused.
    this.#own = new RateLimiterMemory({ points: count - 1, duration, blockDuration });
    // Who shares a bucket with an attacker is not blocked for longer than needed.
    this.#shared = new RateLimiterMemory({ points: count * SHARED_FACTOR - 1, duration });
  }

  /** Keys in the table. */
  get size(): number {
    return this.#entries.size;
  }

  /** Whether `key` has used up what it may do now. */
  isFull(key: string, nowMs: number): boolean {
    const entry = this.#entries.get(key) ?? (this.#entries.size < this.#maxKeys ? undefined : this.#sharedEntry);
    return entry !== undefined && entry.isFull && entry.endsMs > nowMs;
  }

  /** Counts an event of `key`. */
  count(key: string, nowMs: number): void {
    if (this.#rule.count === 0) return;
    let entry = this.#entries.get(key);
    if (entry === undefined && this.#entries.size >= this.#maxKeys) {
      this.#consume(this.#shared, SHARED_KEY, this.#renewed(this.#sharedEntry, nowMs), nowMs);
      return;
    }
    if (entry === undefined || entry.endsMs <= nowMs) {
      this.#entries.delete(key);
      entry = this.#renewed({ endsMs: 0, isFull: false }, nowMs);
      this.#entries.set(key, entry);
    }
    this.#consume(this.#own, key, entry, nowMs);
  }

  /** Forgets windows that have ended. Call it now and then. */
  sweep(nowMs: number): void {
    for (const [key, entry] of this.#entries) {
      if (entry.endsMs > nowMs) return;
      this.#entries.delete(key);
    }
  }

  #renewed(entry: Entry, nowMs: number): Entry {
    if (entry.endsMs > nowMs) return entry;
    entry.endsMs = nowMs + this.#rule.windowSeconds * 1000;
    entry.isFull = false;
    return entry;
  }

  #consume(limiter: RateLimiterMemory, key: string, entry: Entry, nowMs: number): void {
    if (entry.isFull) return;
    limiter.consume(key).catch((refusal: unknown) => {
      entry.isFull = true;
      if (refusal instanceof RateLimiterRes) entry.endsMs = nowMs + refusal.msBeforeNext;
    });
  }
}
