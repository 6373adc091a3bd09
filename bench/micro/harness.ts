import { formatSummary, summarize } from '../relay/statistics.ts';

/** Runs the measured operation `times` times. The benchmark has its own loop, so that no call is added to the operation. */
export type Loop = (times: number) => void;

/** The results so far: the operation and its nanoseconds, median and spread. */
export const measured: (readonly [title: string, nanoseconds: string])[] = [];

const WARM_MS = 300;
const SAMPLE_MS = 60;
const SAMPLES = 15;

/** Measures one operation and prints nanoseconds per operation: median and spread of {@link SAMPLES} samples. */
export function measure(title: string, loop: Loop): void {
  let times = 1;
  const warmUntil = performance.now() + WARM_MS;
  while (performance.now() < warmUntil) {
    const spent = timed(loop, times);
    if (spent < SAMPLE_MS) times = Math.ceil(times * Math.min(2, SAMPLE_MS / Math.max(spent, SAMPLE_MS / 2)));
  }
  const samples = Array.from({ length: SAMPLES }, () => (timed(loop, times) / times) * 1e6);
  const summary = summarize(samples);
  const text = formatSummary(summary, digitsFor(summary?.median ?? 0));
  measured.push([title, text]);
  console.log(`${title.padEnd(58)} ${text} ns/op`);
}

function timed(loop: Loop, times: number): number {
  const started = performance.now();
  loop(times);
  return performance.now() - started;
}

function digitsFor(value: number): number {
  return value < 100 ? 1 : 0;
}

/** Uses a result, so that the compiler cannot remove its computation. */
export const sink: { value: unknown } = { value: null };
