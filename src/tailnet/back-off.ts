import { randomInt } from 'node:crypto';
import type { Clock } from '../base/clock.ts';

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

/** Resolves after `ms` milliseconds of the clock, or as soon as `signal` is aborted. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  const end = clock.now + ms;
  return new Promise((resolve) => {
    const done = (): void => {
      leave();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const leave = clock.onTick((now) => {
      if (now >= end) done();
    });
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
