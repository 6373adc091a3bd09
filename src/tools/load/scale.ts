import { formatBytes, formatCount, formatMs, formatShare } from './format.ts';

/** How the values of a plot are written. */
export interface Scale {
  /** One value, as the summary shows it. */
  readonly format: (value: number) => string;
  /** Units that an axis may have, the largest first: how much one is, and its name behind a number. */
  readonly units: readonly (readonly [size: number, name: string])[];
  /** Nothing lies between two of these, in the smallest unit. */
  readonly leastStep: number;
}

/** Whole things. */
export const COUNTS: Scale = {
  format: formatCount,
  units: [
    [1e6, ' M'],
    [1e3, ' k'],
    [1, ''],
  ],
  leastStep: 1,
};

/** Parts of 1. */
export const SHARES: Scale = { format: formatShare, units: [[0.01, ' %']], leastStep: 0 };

/** Times in milliseconds. */
export const MILLISECONDS: Scale = {
  format: formatMs,
  units: [
    [1000, ' s'],
    [1, ' ms'],
  ],
  leastStep: 0,
};

/** Memory. */
export const BYTES: Scale = {
  format: formatBytes,
  units: [
    [2 ** 30, ' GiB'],
    [2 ** 20, ' MiB'],
    [2 ** 10, ' KiB'],
  ],
  leastStep: 0,
};

/** A line across a plot. */
export interface Tick {
  readonly value: number;
  readonly text: string;
}

/** A unit is used from this many of it on: 1.5 k is less exact than 1500, and not shorter. */
const LEAST_OF_UNIT = 10;
const MOST_STEPS = 5;

/** The lines of an axis from 0 to the first round number that is not below `most`. */
export function ticksUpTo(most: number, { units, leastStep }: Scale): Tick[] {
  const [size, name] = units.find(([least]) => most >= LEAST_OF_UNIT * least) ?? units.at(-1) ?? [1, ''];
  const step = Math.max(niceCeiling(most / size / MOST_STEPS), leastStep);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  // Without what arithmetic leaves behind: 3 steps of 0.1 are not above 0.3.
  const count = Math.max(1, Math.ceil(most / size / step - 1e-9));
  return Array.from({ length: count + 1 }, (_, index) => ({
    value: index * step * size,
    text: `${(index * step).toFixed(digits)}${name}`,
  }));
}

/** The next number of the form 1, 2 or 5 times a power of ten; 1 for nothing. */
export function niceCeiling(value: number): number {
  if (!(value > 0) || !Number.isFinite(value)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5].find((step) => step * power >= value) ?? 10) * power;
}
