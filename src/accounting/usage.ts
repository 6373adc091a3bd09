/** Bytes that a key has sent in the present day and month, both of UTC: through DERP and UDP, only payloads. */
export interface KeyUsage {
  readonly dayBytes: number;
  readonly monthBytes: number;
}

interface Entry {
  dayBytes: number;
  monthBytes: number;
  /** The part that was counted before this process started. */
  earlierDayBytes: number;
  earlierMonthBytes: number;
  /** Counts of the other relays of the region. */
  otherDayBytes: number;
  otherMonthBytes: number;
}

const NOTHING: Entry = {
  ...{ dayBytes: 0, monthBytes: 0, earlierDayBytes: 0, earlierMonthBytes: 0 },
  ...{ otherDayBytes: 0, otherMonthBytes: 0 },
};
/** Most keys that are remembered. When there are more, the oldest one is dropped. */
const MOST_KEYS = 200_000;

/** Returns the day of a time (milliseconds since 1970) in UTC, such as `2026-11-27`. */
export function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** Returns the month of a day, such as `2026-11`. */
function monthOf(day: string): string {
  return day.slice(0, 7);
}

/** The usage of each key, in memory. `accounting.ts` fills it from the disk at the start. */
export class Usage {
  readonly #entries = new Map<string, Entry>();
  #day: string;

  constructor(day: string) {
    this.#day = day;
  }

  /** The day of the counts, such as `2026-11-27`. */
  get day(): string {
    return this.#day;
  }

  /** Starts another day, and another month if it changes. Returns false when the day is the same. */
  begin(day: string): boolean {
    if (day === this.#day) return false;
    const isNewMonth = monthOf(day) !== monthOf(this.#day);
    this.#day = day;
    if (isNewMonth) this.#entries.clear();
    for (const entry of this.#entries.values()) entry.dayBytes = entry.earlierDayBytes = entry.otherDayBytes = 0;
    return true;
  }

  /** Adds bytes that `key` has sent. */
  add(key: string, bytes: number): void {
    const entry = this.#entry(key);
    entry.dayBytes += bytes;
    entry.monthBytes += bytes;
  }

  /**
   * Adds this relay's counts of `key` from before its start. When several stores have such counts, the largest is used.
   */
  adopt(key: string, { dayBytes, monthBytes }: KeyUsage): void {
    if (monthBytes === 0) return;
    const entry = this.#entry(key);
    const moreOfDay = Math.max(0, dayBytes - entry.earlierDayBytes);
    const moreOfMonth = Math.max(0, monthBytes - entry.earlierMonthBytes);
    entry.dayBytes += moreOfDay;
    entry.earlierDayBytes += moreOfDay;
    entry.monthBytes += moreOfMonth;
    entry.earlierMonthBytes += moreOfMonth;
  }

  /** Sets the counts of `key` at the other relays of the region. */
  setOthers(key: string, dayBytes: number, monthBytes: number): void {
    const entry = this.#entry(key);
    entry.otherDayBytes = dayBytes;
    entry.otherMonthBytes = monthBytes;
  }

  /** Returns this relay's counts of `key`. */
  own(key: string): KeyUsage {
    const { dayBytes = 0, monthBytes = 0 } = this.#entries.get(key) ?? {};
    return { dayBytes, monthBytes };
  }

  /** Returns the counts of `key` at all relays of the region. */
  total(key: string): KeyUsage {
    const entry = this.#entries.get(key);
    if (entry === undefined) return { dayBytes: 0, monthBytes: 0 };
    return {
      dayBytes: entry.dayBytes + entry.otherDayBytes,
      monthBytes: entry.monthBytes + entry.otherMonthBytes,
    };
  }

  #entry(key: string): Entry {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { ...NOTHING };
      this.#entries.set(key, entry);
      if (this.#entries.size > MOST_KEYS) this.#entries.delete(this.#entries.keys().next().value!);
    }
    return entry;
  }
}
