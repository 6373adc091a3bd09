/**
 * Loaded before the relay (`node --import`, `bun --preload`): measures how late a timer of 5 ms fires and prints the
 * result as one line on SIGUSR2. Then it starts a new measurement.
 */
import { LOOP_DELAY_MARK } from '../relay/loop-delay.ts';

const PERIOD_MS = 5;
/** Buckets of a tenth of a millisecond; the last one has all longer delays. */
const BUCKETS_PER_MS = 10;
const LONGEST_MS = 2000;

let buckets = new Uint32Array(LONGEST_MS * BUCKETS_PER_MS + 1);
let last = performance.now();

setInterval(() => {
  const at = performance.now();
  const late = Math.max(at - last - PERIOD_MS, 0);
  last = at;
  buckets[Math.min(Math.round(late * BUCKETS_PER_MS), LONGEST_MS * BUCKETS_PER_MS)]! += 1;
}, PERIOD_MS).unref();

process.on('SIGUSR2', () => {
  console.log(
    `${LOOP_DELAY_MARK}${JSON.stringify({ p50Ms: quantile(0.5), p99Ms: quantile(0.99), maxMs: quantile(1) })}`,
  );
  buckets = new Uint32Array(buckets.length);
});

function quantile(part: number): number {
  const total = buckets.reduce((sum, count) => sum + count, 0);
  let seen = 0;
  const at = buckets.findIndex((count) => (seen += count) >= total * part && count > 0);
  return Math.max(at, 0) / BUCKETS_PER_MS;
}
