/** A rate: `perSecond` 0 is no limit; `burst` may come at once. */
export interface BudgetRate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Token buckets of one rate, by number; refilled from the time that each call is given, without an allocation. */
export class Budgets {
  readonly #tokens: Float64Array;
  readonly #refilledAt: Float64Array;
  #perMs = 0;
  #burst = 0;

  constructor(size: number, rate: BudgetRate) {
    this.#tokens = new Float64Array(size);
    this.#refilledAt = new Float64Array(size);
    this.setRate(rate);
    this.#tokens.fill(rate.burst);
  }

  /** Another rate from now on; what a bucket holds beyond it is lost when it is next used. */
  setRate({ perSecond, burst }: BudgetRate): void {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
  }

  /** Fills a bucket that somebody else gets. `now` in milliseconds. */
  reset(index: number, now: number): void {
    this.#tokens[index] = this.#burst;
    this.#refilledAt[index] = now;
  }

  /** Takes `amount`, at most the burst; false, and nothing is taken, when that much is not there. */
  take(index: number, amount: number, now: number): boolean {
    if (this.#perMs === 0) return true;
    const tokens = this.#refilled(index, now);
    const wanted = amount < this.#burst ? amount : this.#burst;
    this.#tokens[index] = tokens < wanted ? tokens : tokens - wanted;
    return tokens >= wanted;
  }

  /** Whether nothing of a bucket is missing, so that it may be forgotten. */
  isFull(index: number, now: number): boolean {
    return this.#perMs === 0 || this.#refilled(index, now) >= this.#burst;
  }

  #refilled(index: number, now: number): number {
    const tokens = this.#tokens[index]! + (now - this.#refilledAt[index]!) * this.#perMs;
    this.#refilledAt[index] = now;
    return tokens < this.#burst ? tokens : this.#burst;
  }
}
