/**
 * Most points for the slope. It uses every pair of points, so days of samples are first reduced to this
 * many medians of neighbours.
 */
const MAX_POINTS = 500;

/** One reading: seconds since the start of the run, and the value. */
export type Reading = readonly [atSeconds: number, value: number];

/** Returns the middle value; NaN for an empty list. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle]!;
  return sorted.length === 0 ? NaN : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * Growth per second by Theil and Sen: the median of the slopes between all pairs of readings. Up to 29 % of the readings
 * may be far off without an effect, which the saw-tooth of a garbage collector needs. Returns 0 for fewer than two readings.
 */
export function theilSen(readings: readonly Reading[]): number {
  const points = thinned(readings);
  const slopes: number[] = [];
  for (const [i, [x, y]] of points.entries()) {
    for (const [laterX, laterY] of points.slice(i + 1)) if (laterX > x) slopes.push((laterY - y) / (laterX - x));
  }
  return slopes.length === 0 ? 0 : median(slopes);
}

function thinned(readings: readonly Reading[]): readonly Reading[] {
  const size = Math.ceil(readings.length / MAX_POINTS);
  if (size <= 1) return readings;
  const points: Reading[] = [];
  for (let from = 0; from < readings.length; from += size) {
    const block = readings.slice(from, from + size);
    points.push([median(block.map(([x]) => x)), median(block.map(([, y]) => y))]);
  }
  return points;
}

/** The largest growth of a value over a whole run. */
export interface GrowthBound {
  readonly absolute: number;
  /** Part of the median; the larger of the two limits counts. */
  readonly fraction: number;
  /** Seconds at the start that are ignored; at least a tenth of the run is ignored. */
  readonly warmUpSeconds: number;
}

export interface Growth {
  readonly perHour: number;
  /** The slope times the length of the run. */
  readonly overRun: number;
  readonly allowed: number;
  readonly median: number;
  /** Number of used readings. */
  readonly readings: number;
  readonly isBounded: boolean;
}

const WARM_UP_PART = 0.1;

/** Fits a line through the readings after the warm-up; returns the growth and whether it is within the limits. */
export function judgeGrowth(readings: readonly Reading[], runSeconds: number, bound: GrowthBound): Growth {
  const from = Math.max(runSeconds * WARM_UP_PART, bound.warmUpSeconds);
  const looked = readings.filter(([at]) => at >= from);
  const slope = theilSen(looked);
  const middle = looked.length === 0 ? 0 : median(looked.map(([, value]) => value));
  const allowed = Math.max(bound.absolute, bound.fraction * middle);
  const overRun = slope * runSeconds;
  return {
    perHour: slope * 3600,
    overRun,
    allowed,
    median: middle,
    readings: looked.length,
    isBounded: overRun <= allowed,
  };
}
