/** A bucket that gains tokens at a steady rate, up to a burst. Each call passes the time, from which it is refilled. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #refilledAt: number;

  /** `now` is milliseconds, as in every call. `tokens` are there at the start: by default the burst. */
  constructor(perSecond: number, burst: number, now: number, tokens: number = burst) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = tokens;
    this.#refilledAt = now;
  }

  /** Takes `wanted` tokens at `now` and returns 0; when there are too few it takes none, and returns the milliseconds until there are enough. */
  take(wanted: number, now: number): number {
    this.#refill(now);
    if (this.#tokens >= wanted) {
      this.#tokens -= wanted;
      return 0;
    }
    return (wanted - this.#tokens) / this.#perMs;
  }

  /** Adds tokens, in addition to the steady rate. */
  add(tokens: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + tokens);
  }

  /** Tokens that are there at `now`; below zero when more were taken than there were. */
  level(now: number): number {
    this.#refill(now);
    return this.#tokens;
  }

  /** Takes `taken` tokens that were used elsewhere, whether they are there or not; at most `level` are left. */
  charge(taken: number, level: number, now: number): void {
    this.#refill(now);
    this.#tokens = Math.min(this.#tokens - taken, level);
  }

  /** Returns whether the bucket is full at `now`. */
  isFull(now: number): boolean {
    this.#refill(now);
    return this.#tokens === this.#burst;
  }

  #refill(now: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#refilledAt) * this.#perMs);
    this.#refilledAt = now;
  }
}
