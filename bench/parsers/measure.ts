import type { ParserCase } from './cases.ts';

/** Nanoseconds per byte. */
export interface Cost {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

const SAMPLES = 7;
/** Shortest time of a sample, in milliseconds, so that the resolution of the clock does not matter. */
const SAMPLE_MS = 4;
const WARM_UPS = 3;
/** Fixed cost of a call, in nanoseconds. The growth of a smaller cost cannot be measured. */
const FLOOR_NS = 2000;

/** Measures one case with an input of about `bytes`. */
export function measureCase({ prepare }: ParserCase, bytes: number): Cost {
  const parse = prepare(bytes);
  for (let i = 0; i < WARM_UPS; i++) parse();
  const samples = Array.from({ length: SAMPLES }, () => sample(parse)).sort((a, b) => a - b);
  const perByte = samples.map((ns) => Math.max(ns, FLOOR_NS) / bytes);
  return { median: perByte[SAMPLES >> 1]!, lowest: perByte[0]!, highest: perByte[SAMPLES - 1]! };
}

/**
 * Returns the growth of the cost per byte from the smallest input to a larger one. It uses the lowest samples, because other
 * programs on the machine only add to a sample.
 */
export function growth(costs: readonly Cost[]): number {
  const [first, ...rest] = costs;
  return Math.max(...rest.map(({ lowest }) => lowest / first!.lowest));
}

/** Nanoseconds of one call. */
function sample(parse: () => unknown): number {
  const startedAt = performance.now();
  let calls = 0;
  let ms = 0;
  while (ms < SAMPLE_MS) {
    parse();
    calls++;
    ms = performance.now() - startedAt;
  }
  return (ms / calls) * 1e6;
}
