/** A rate and a burst. `perSecond` 0 means no limit. */
export interface BudgetRate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Rates of single buckets; below 0: the common rate. Allocated when the first bucket gets its own rate. */
interface OwnRates {
  readonly perMs: Float64Array;
  readonly burst: Float64Array;
}

/**
 * Token buckets by number. All have the same rate, except buckets with their own. They are refilled from the time that
 * each call is given, without an allocation.
 */
export class Budgets {
  readonly #tokens: Float64Array;
  readonly #refilledAt: Float64Array;
  #perMs = 0;
  #burst = 0;
  #own: OwnRates | null = null;

  constructor(size: number, rate: BudgetRate) {
    this.#tokens = new Float64Array(size);
    this.#refilledAt = new Float64Array(size);
    this.setRate(rate);
    this.#tokens.fill(rate.burst);
  }

  /** Sets another rate. Tokens above the new burst are lost when a bucket is next used. */
  setRate({ perSecond, burst }: BudgetRate): void {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
  }

  /** Sets the rate of one bucket; null: the common rate. Tokens above the new burst are lost when it is next used. */
  setOwnRate(index: number, rate: BudgetRate | null): void {
    if (rate === null && this.#own === null) return;
    const size = this.#tokens.length;
    this.#own ??= { perMs: new Float64Array(size).fill(-1), burst: new Float64Array(size) };
    this.#own.perMs[index] = rate === null ? -1 : rate.perSecond / 1000;
    this.#own.burst[index] = rate?.burst ?? 0;
  }

  /** Fills a bucket for another node, with the common rate. `now` in milliseconds. */
  reset(index: number, now: number): void {
    this.setOwnRate(index, null);
    this.#tokens[index] = this.#burst;
    this.#refilledAt[index] = now;
  }

  /** Takes `amount`, at most the burst. Returns false and takes nothing when the bucket has less. */
  take(index: number, amount: number, now: number): boolean {
    if (this.#perMsOf(index) === 0) return true;
    const tokens = this.#refilled(index, now);
    const burst = this.#burstOf(index);
    const wanted = amount < burst ? amount : burst;
    this.#tokens[index] = tokens < wanted ? tokens : tokens - wanted;
    return tokens >= wanted;
  }

  /** Returns whether a bucket is full, so that it may be reused. */
  isFull(index: number, now: number): boolean {
    return this.#perMsOf(index) === 0 || this.#refilled(index, now) >= this.#burstOf(index);
  }

  #refilled(index: number, now: number): number {
    const tokens = this.#tokens[index]! + (now - this.#refilledAt[index]!) * this.#perMsOf(index);
    const burst = this.#burstOf(index);
    this.#refilledAt[index] = now;
    return tokens < burst ? tokens : burst;
  }

  #perMsOf(index: number): number {
    const own = this.#own === null ? -1 : this.#own.perMs[index]!;
    return own < 0 ? this.#perMs : own;
  }

  #burstOf(index: number): number {
    const own = this.#own;
    return own === null || own.perMs[index]! < 0 ? this.#burst : own.burst[index]!;
  }
}
