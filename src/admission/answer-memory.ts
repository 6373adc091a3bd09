/** The answer about one key. */
export interface RememberedAnswer {
  readonly isYes: boolean;
  /** Clock time of the answer. */
  readonly at: number;
}

/**
 * Admitted addresses that are stored for one key, so that a member that changes its address does not displace others.
 */
const PLACES = 16;

/**
 * Stores the last answers about keys, each for a place (an address or an empty text). The number of each kind is
 * limited, and the oldest is removed first. Refusals have their own table, so that unknown clients with new keys cannot
 * displace members.
 */
export class AnswerMemory {
  /** When each key was admitted, by place. */
  readonly #yes = new Map<string, Map<string, number>>();
  readonly #no = new Map<string, number>();
  readonly #yesLimit: number;
  readonly #noLimit: number;

  constructor(yesLimit: number, noLimit: number) {
    this.#yesLimit = yesLimit;
    this.#noLimit = noLimit;
  }

  /** The last answer about `key` at `place`, or null. */
  get(key: string, place: string): RememberedAnswer | null {
    const admittedAt = this.#yes.get(key)?.get(place);
    if (admittedAt !== undefined) return { isYes: true, at: admittedAt };
    const refusedAt = this.#no.get(idOf(key, place));
    return refusedAt === undefined ? null : { isYes: false, at: refusedAt };
  }

  /** When `key` was last admitted, at any place, or null. */
  admittedAt(key: string): number | null {
    const places = this.#yes.get(key);
    return places === undefined ? null : Math.max(...places.values());
  }

  /** Stores an answer; it replaces an older one. */
  set(key: string, place: string, isYes: boolean, at: number): void {
    this.#no.delete(idOf(key, place));
    const places = this.#yes.get(key) ?? new Map<string, number>();
    places.delete(place);
    this.#yes.delete(key);
    if (isYes) {
      places.set(place, at);
      forgetOldest(places, PLACES);
    } else {
      this.#no.set(idOf(key, place), at);
      forgetOldest(this.#no, this.#noLimit);
    }
    if (places.size === 0) return;
    this.#yes.set(key, places);
    forgetOldest(this.#yes, this.#yesLimit);
  }

  /** The number of stored keys that were admitted. */
  get members(): number {
    return this.#yes.size;
  }
}

function idOf(key: string, place: string): string {
  return `${key} ${place}`;
}

function forgetOldest(table: Map<string, unknown>, limit: number): void {
  if (table.size > limit) table.delete(table.keys().next().value!);
}
