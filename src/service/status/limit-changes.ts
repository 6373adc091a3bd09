import { ApiError } from '../../http/api/api-error.ts';

/** Most keys with another rate at one time. Tiers are better for more keys. */
const MOST_KEYS = 1000;

interface LimitChangesParts {
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** Sets another value of a configuration key; null: the value of the configuration. */
  readonly setLimit: (name: string, value: number | null) => void;
  /**
   * Sets the rate of a node key (64 hex digits) in bytes per second; 0: no limit; null: the rate of the configuration.
   */
  readonly setKeyRate: (key: string, bytesPerSecond: number | null) => void;
  /** Called when the time of a change is over. `what` is a configuration key or 64 hex digits. */
  readonly ended: (what: string) => void;
}

interface Change {
  readonly value: number;
  /** When it ends, by the clock and since 1970; null: not by itself. */
  readonly end: { readonly clockMs: number; readonly wallMs: number } | null;
}

/** The changed rate of one key. */
export interface KeyRate {
  /** 64 hex digits. */
  readonly key: string;
  readonly bytesPerSecond: number;
  /** Milliseconds since 1970; null: not by itself. */
  readonly until: number | null;
}

/**
 * Limits that an operator has changed while the relay runs. Those of configuration keys stay until the configuration is
 * read again, those of node keys until they are reset. A restart ends all of them, and each may have its own end.
 */
export class LimitChanges {
  readonly #parts: LimitChangesParts;
  readonly #names = new Map<string, Change>();
  readonly #keys = new Map<string, Change>();

  constructor(parts: LimitChangesParts) {
    this.#parts = parts;
  }

  /** The configuration keys that are changed. */
  get names(): ReadonlySet<string> {
    return new Set(this.#names.keys());
  }

  /** The node keys that have another rate. */
  get keys(): KeyRate[] {
    return [...this.#keys].map(([key, { value, end }]) => ({ key, bytesPerSecond: value, until: end?.wallMs ?? null }));
  }

  /** Changes a configuration key for some seconds, null for no time limit; value null resets it. */
  changeLimit(name: string, value: number | null, seconds: number | null): void {
    this.#parts.setLimit(name, value);
    this.#names.delete(name);
    if (value !== null) this.#names.set(name, this.#change(value, seconds));
  }

  /**
   * Changes the rate of a node key in the same way. Throws an {@link ApiError} when there are too many changes, or
   * nothing to reset.
   */
  changeKey(key: string, bytesPerSecond: number | null, seconds: number | null): void {
    const isChanged = this.#keys.has(key);
    if (bytesPerSecond === null && !isChanged) {
      throw new ApiError(404, 'not_changed', 'the rate of this key is that of the configuration');
    }
    if (!isChanged && this.#keys.size >= MOST_KEYS) {
      const advice = 'Use a tier for that many (fairness.tiers).';
      throw new ApiError(409, 'too_many_changes', `${MOST_KEYS} keys have another rate already`, advice);
    }
    this.#parts.setKeyRate(key, bytesPerSecond);
    this.#keys.delete(key);
    if (bytesPerSecond !== null) this.#keys.set(key, this.#change(bytesPerSecond, seconds));
  }

  /** Forgets the changes of configuration keys after a reload. Those of node keys stay. */
  reloaded(): void {
    this.#names.clear();
  }

  /** Resets the changes whose time is over. Call it regularly. */
  expire(): void {
    const now = this.#parts.now();
    for (const [name, { end }] of this.#names) if (end !== null && now >= end.clockMs) this.#endLimit(name);
    for (const [key, { end }] of this.#keys) if (end !== null && now >= end.clockMs) this.#endKey(key);
  }

  #endLimit(name: string): void {
    this.changeLimit(name, null, null);
    this.#parts.ended(name);
  }

  #endKey(key: string): void {
    this.changeKey(key, null, null);
    this.#parts.ended(key);
  }

  #change(value: number, seconds: number | null): Change {
    if (seconds === null) return { value, end: null };
    return { value, end: { clockMs: this.#parts.now() + seconds * 1000, wallMs: Date.now() + seconds * 1000 } };
  }
}
