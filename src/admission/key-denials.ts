/** Largest number of denials at the same time. */
const MOST = 10_000;

/** One key that is refused for a time. */
export interface KeyDenial {
  /** 64 hex digits. */
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly until: number;
  /** For the log and the status page. */
  readonly reason: string;
}

/** Keys that an operator has denied for a time. A denial overrides the sources, and ends with the process. */
export class KeyDenials {
  readonly #byKey = new Map<string, KeyDenial>();
  readonly #now: () => number;

  /** `now` is the wall clock in milliseconds since 1970. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Denies a key, or changes its denial. Returns false when there are too many. */
  add(denial: KeyDenial): boolean {
    this.#forgetPast();
    if (this.#byKey.size >= MOST && !this.#byKey.has(denial.key)) return false;
    this.#byKey.set(denial.key, denial);
    return true;
  }

  /** Removes the denial of a key; returns whether there was one. */
  remove(key: string): boolean {
    return this.#byKey.delete(key);
  }

  /** The denial of a key, or null. */
  find(key: string): KeyDenial | null {
    if (this.#byKey.size === 0) return null;
    const denial = this.#byKey.get(key);
    if (denial === undefined) return null;
    if (denial.until > this.#now()) return denial;
    this.#byKey.delete(key);
    return null;
  }

  /** Returns all present denials. */
  list(): readonly KeyDenial[] {
    this.#forgetPast();
    return [...this.#byKey.values()];
  }

  #forgetPast(): void {
    const now = this.#now();
    for (const { key, until } of this.#byKey.values()) if (until <= now) this.#byKey.delete(key);
  }
}
