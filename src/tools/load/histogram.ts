/** Buckets per power of two: a value is known to 1/64, about 1.6 %. */
const SUB_BITS = 6;
const SUB_BUCKETS: number = 1 << SUB_BITS;
/** The largest value that is counted exactly, in microseconds: 36 minutes. */
const MAX_VALUE = 2 ** 31 - 1;
const BUCKETS: number = (31 - SUB_BITS + 1) * SUB_BUCKETS;

/**
 * Counts microseconds in log-linear buckets, so that percentiles of any number of values take the same 6.5 KiB. Values
 * below 64 µs are exact. Others are reported as the upper end of a bucket, which is 1.6 % wide.
 */
export class Histogram {
  /** Values per bucket. A copy of it is sent between threads. */
  readonly counts: Uint32Array;
  #total = 0;
  #max = 0;

  /** Starts empty, or with the counts of another thread and the largest value it saw. */
  constructor(counts: Uint32Array = new Uint32Array(BUCKETS), max = 0) {
    this.counts = counts;
    this.#max = max;
    for (const count of counts) this.#total += count;
  }

  /** How many values were counted. */
  get total(): number {
    return this.#total;
  }

  /** The largest value, exactly; 0 when there is none. */
  get max(): number {
    return this.#max;
  }

  /** Counts a duration in microseconds; negative ones as 0, fractions rounded up. */
  add(microseconds: number): void {
    const value = microseconds <= 0 ? 0 : Math.min(Math.ceil(microseconds), MAX_VALUE);
    this.counts[bucketOf(value)]!++;
    this.#total++;
    if (value > this.#max) this.#max = value;
  }

  /** Counts all values of another histogram too. */
  merge(other: Histogram): void {
    for (let i = 0; i < BUCKETS; i++) this.counts[i]! += other.counts[i]!;
    this.#total += other.#total;
    if (other.#max > this.#max) this.#max = other.#max;
  }

  /**
   * Returns the value that a part `share` (0 to 1) of all values does not exceed, in microseconds; null without values.
   */
  percentile(share: number): number | null {
    if (this.#total === 0) return null;
    const rank = Math.max(1, Math.ceil(share * this.#total));
    let seen = 0;
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.counts[i]!;
      if (seen >= rank) return Math.min(upperEnd(i), this.#max);
    }
    return this.#max;
  }

  /** Removes all values. */
  clear(): void {
    this.counts.fill(0);
    this.#total = this.#max = 0;
  }
}

function bucketOf(value: number): number {
  if (value < SUB_BUCKETS) return value;
  const shift = 31 - Math.clz32(value) - SUB_BITS;
  return shift * SUB_BUCKETS + (value >>> shift);
}

/** The largest value of a bucket. */
function upperEnd(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket;
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1;
  const base = bucket - shift * SUB_BUCKETS;
  return (base + 1) * 2 ** shift - 1;
}
