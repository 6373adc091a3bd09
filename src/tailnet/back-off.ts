import { randomInt } from 'node:crypto';

const FIRST_MS = 500;
const LONGEST_MS = 30_000;

/** Pauses between attempts: each is twice as long as the last, up to 30 s, minus a random part. */
export class BackOff {
  #nextMs = FIRST_MS;

  /** The last attempt succeeded. */
  reset(): void {
    this.#nextMs = FIRST_MS;
  }

  /** Returns the milliseconds until the next attempt. */
  next(): number {
    const ms = this.#nextMs;
    this.#nextMs = Math.min(ms * 2, LONGEST_MS);
    return randomInt(Math.ceil(ms / 2), ms + 1);
  }
}
