import { randomInt } from 'node:crypto';
import { retryAfterMs as pauseMs } from '../transport/http/retry-after.ts';

/** Longest pause (addendum E3). */
const LONGEST_MS = 300_000;
/** A longer time is treated as a mistake. */
const CREDIBLE_MS = 3_600_000;
const DEFAULT_FROM_MS = 5000;
const DEFAULT_TO_MS = 10_000;

/**
 * Returns the pause in milliseconds that a control server asks for with status 429 or 503. The header is seconds or a
 * date; an invalid one counts as 5 to 10 s. Null for a 503 without the header.
 */
export function retryAfterMs(header: string | undefined, status: number, now: number = Date.now()): number | null {
  if (header === undefined && status === 503) return null;
  const ms = pauseMs(header, now) ?? 0;
  if (ms === 0 || ms > CREDIBLE_MS) return randomInt(DEFAULT_FROM_MS, DEFAULT_TO_MS);
  return Math.min(ms, LONGEST_MS);
}
