/** A rate limit. */
export interface RateRule {
  /** Largest number of events within one window. 0 means no limit. */
  readonly count: number;
  readonly windowSeconds: number;
  /** How long a key over the limit is refused; 0: until its window has room again. */
  readonly blockSeconds: number;
}

/** When the table is full, this many of the oldest entries are checked for one to remove. */
const LOOKED_AT = 8;
/** An entry that has used a quarter of its limit is not removed while there are others. */
const KEPT_SHARE = 4;

/** Number of sweeps that check all entries together, so that one sweep is cheap. */
const SWEEPS = 16;

/** The events of one key. */
class Entry {
  readonly key: string;
  startMs: number;
  /** Events in the window that began at `startMs`, and in the one before. */
  count = 0;
  before = 0;
  blockedUntilMs = 0;
  next: Entry | null = null;

  constructor(key: string, startMs: number) {
    this.key = key;
    this.startMs = startMs;
  }
}

/**
 * Counts events by key over a sliding window, in limited memory. It combines two fixed windows: events of the last one
 * count by the part of it that the sliding window still covers. A new key always gets its own entry; when the table is
 * full, an entry with few events is removed.
 */
export class SlidingWindow {
  readonly #rule: RateRule;
  readonly #windowMs: number;
  readonly #maxKeys: number;
  readonly #entries = new Map<string, Entry>();
  /** A queue of all entries. */
  #first: Entry | null = null;
  #last: Entry | null = null;

  constructor(rule: RateRule, maxKeys: number) {
    this.#rule = rule;
    this.#windowMs = rule.windowSeconds * 1000;
    this.#maxKeys = maxKeys;
  }

  /** Keys in the table. */
  get size(): number {
    return this.#entries.size;
  }

  /** Returns whether `key` has reached its limit. */
  isFull(key: string, nowMs: number): boolean {
    const entry = this.#entries.get(key);
    return entry !== undefined && this.#isFull(entry, nowMs);
  }

  /** Counts an event of `key`. */
  count(key: string, nowMs: number): void {
    if (this.#rule.count === 0) return;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      if (this.#entries.size >= this.#maxKeys) this.#forgetOne(nowMs);
      entry = new Entry(key, nowMs);
      this.#entries.set(key, entry);
      this.#append(entry);
    }
    this.#slide(entry, nowMs);
    if (entry.blockedUntilMs > nowMs) return;
    entry.count++;
    const { blockSeconds } = this.#rule;
    if (blockSeconds > 0 && this.#used(entry, nowMs) >= this.#rule.count) {
      entry.blockedUntilMs = nowMs + blockSeconds * 1000;
    }
  }

  /** Checks a part of the keys and removes those without recent events. Call it regularly. */
  sweep(nowMs: number): void {
    for (let left = Math.ceil(this.#entries.size / SWEEPS); left > 0; left--) {
      const entry = this.#takeFirst();
      if (entry === null) return;
      if (this.#isOver(entry, nowMs)) this.#entries.delete(entry.key);
      else this.#append(entry);
    }
  }

  #isFull(entry: Entry, nowMs: number): boolean {
    return entry.blockedUntilMs > nowMs || this.#used(entry, nowMs) >= this.#rule.count;
  }

  /** Events within the window that ends now. */
  #used(entry: Entry, nowMs: number): number {
    this.#slide(entry, nowMs);
    return entry.count + entry.before * (1 - (nowMs - entry.startMs) / this.#windowMs);
  }

  #slide(entry: Entry, nowMs: number): void {
    if (entry.blockedUntilMs > 0 && entry.blockedUntilMs <= nowMs) {
      entry.blockedUntilMs = 0;
      entry.before = 0;
      entry.count = 0;
      entry.startMs = nowMs;
    }
    const windows = Math.floor((nowMs - entry.startMs) / this.#windowMs);
    if (windows < 1) return;
    entry.before = windows === 1 ? entry.count : 0;
    entry.count = 0;
    entry.startMs += windows * this.#windowMs;
  }

  #isOver(entry: Entry, nowMs: number): boolean {
    return entry.blockedUntilMs <= nowMs && this.#used(entry, nowMs) === 0;
  }

  #forgetOne(nowMs: number): void {
    for (let looked = 1; ; looked++) {
      const entry = this.#takeFirst();
      if (entry === null) return;
      const isKept = entry.blockedUntilMs > nowMs || this.#used(entry, nowMs) * KEPT_SHARE >= this.#rule.count;
      if (!isKept || looked === LOOKED_AT) {
        this.#entries.delete(entry.key);
        return;
      }
      this.#append(entry);
    }
  }

  #append(entry: Entry): void {
    entry.next = null;
    if (this.#last === null) this.#first = entry;
    else this.#last.next = entry;
    this.#last = entry;
  }

  #takeFirst(): Entry | null {
    const entry = this.#first;
    if (entry === null) return null;
    this.#first = entry.next;
    if (this.#first === null) this.#last = null;
    return entry;
  }
}
