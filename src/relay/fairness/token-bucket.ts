import { MAX_SEND_PAYLOAD_BYTES } from '../../wire/frames.ts';

/** A byte rate and how much may come at once. `bytesPerSecond` 0 means no limit. */
export interface ByteRate {
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
}

/** The smallest useful burst: one largest packet with its key (protocol reference §4.8). */
export const MIN_BURST_BYTES: number = MAX_SEND_PAYLOAD_BYTES;

/**
 * Token bucket over bytes, refilled lazily from the time that each call is given. Starts full
 * unless told otherwise. A single take is never
 * charged more than {@link MIN_BURST_BYTES}, so it can always succeed one day (§4.8).
 */
export class TokenBucket {
  readonly #bytesPerMs: number;
  readonly #burst: number;
  #tokens: number;
  #refilledAt: number;

  /** `now` in milliseconds. A burst below the minimum is raised to it. */
  constructor(rate: ByteRate, now: number, initial: 'full' | 'empty' = 'full') {
    this.#bytesPerMs = rate.bytesPerSecond / 1000;
    this.#burst = Math.max(rate.burstBytes, MIN_BURST_BYTES);
    this.#tokens = initial === 'full' ? this.#burst : 0;
    this.#refilledAt = now;
  }

  /** Takes tokens for `bytes` at `now`; returns 0 when they were there, else the milliseconds until they will be. */
  take(bytes: number, now: number): number {
    const wanted = Math.min(bytes, MIN_BURST_BYTES);
    this.#refill(now);
    if (this.#tokens >= wanted) {
      this.#tokens -= wanted;
      return 0;
    }
    return (wanted - this.#tokens) / this.#bytesPerMs;
  }

  /** Adds tokens for `bytes`, beside what time brings. */
  add(bytes: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + bytes);
  }

  /** Whether nothing of it is missing at `now`. */
  isFull(now: number): boolean {
    this.#refill(now);
    return this.#tokens === this.#burst;
  }

  #refill(now: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#refilledAt) * this.#bytesPerMs);
    this.#refilledAt = now;
  }
}
