import { randomInt } from 'node:crypto';

const FIRST_MS = 500;
const LONGEST_MS = 30_000;

/** Waits between attempts: each twice as long as the last, up to half a minute, less a random part. */
export class BackOff {
  #nextMs = FIRST_MS;

  /** The last attempt went well. */
  reset(): void {
    this.#nextMs = FIRST_MS;
  }

  /** Milliseconds to the next attempt. */
  next(): number {
    const ms = this.#nextMs;
    this.#nextMs = Math.min(ms * 2, LONGEST_MS);
    return randomInt(Math.ceil(ms / 2), ms + 1);
  }
}
