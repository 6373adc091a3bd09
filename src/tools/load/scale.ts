import { formatBytes, formatCount, formatMs, formatShare } from './format.ts';

/** How the values of a plot are written, and which steps its axis may have. */
export interface Scale {
  /** Returns one value as text, as in the summary. */
  readonly format: (value: number) => string;
  /** Distances between two lines of the axis, ascending; null: 1, 2, 2.5 or 5 times any power of ten. */
  readonly steps: readonly number[] | null;
}

/** Whole numbers: an axis has no line between 1 and 2. */
export const COUNTS: Scale = {
  format: formatCount,
  steps: Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat(),
};

/** Parts of 1, written in percent. */
export const SHARES: Scale = { format: formatShare, steps: null };

/** Times in milliseconds. */
export const MILLISECONDS: Scale = { format: formatMs, steps: null };

/** Bytes of memory, in binary units: from 1 KiB to 16 TiB. */
export const BYTES: Scale = { format: formatBytes, steps: Array.from({ length: 35 }, (_, power) => 2 ** (10 + power)) };
