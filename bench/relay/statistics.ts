/** Median and range of repeated measurements. */
export interface Summary {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
  readonly count: number;
}

/** Null when there is nothing to sum up. */
export function summarize(values: readonly number[]): Summary | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return {
    median: (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2,
    lowest: sorted[0]!,
    highest: sorted.at(-1)!,
    count: sorted.length,
  };
}

/** `1.23 [1.10–1.40]`; the median alone when there is one value only. */
export function formatSummary(summary: Summary | null, digits: number): string {
  if (summary === null) return '–';
  const { median, lowest, highest, count } = summary;
  if (count === 1) return median.toFixed(digits);
  return `${median.toFixed(digits)} [${lowest.toFixed(digits)}–${highest.toFixed(digits)}]`;
}
