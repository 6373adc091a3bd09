/** How often something may happen. */
export interface RateRule {
  /** Times within one window. 0 is no limit. */
  readonly count: number;
  readonly windowSeconds: number;
  /** How long a key that did it too often is refused; 0: until its window has room again. */
  readonly blockSeconds: number;
}

/** When the table is full, this many of the oldest entries are checked for one to forget. */
const LOOKED_AT = 8;
/** An entry that has used up a quarter of what it may do is not forgotten as long as there are others. */
const KEPT_SHARE = 4;

/** How many sweeps it takes to look at all entries, so that one of them costs little. */
const SWEEPS = 16;

/** What one key did. */
class Entry {
  readonly key: string;
  startMs: number;
  /** In the window that began at `startMs`, and in the one before it. */
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
 * Counts events by key over a sliding window, in bounded memory. The window is made of two: what happened in the last
 * whole one counts by the part of it that is still within the window. A key that is new always has an entry of its own;
 * when the table is full, one that did little is forgotten for it.
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

  /** Whether `key` has used up what it may do now. */
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

  /** Looks at a part of the keys and forgets those that have done nothing for long. Call it now and then. */
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
