/** What was answered about one key. */
export interface RememberedAnswer {
  readonly isYes: boolean;
  /** Clock time of the answer. */
  readonly at: number;
}

/**
 * The last answers, a bounded number of each sort, the oldest forgotten first. Noes have a table of their own, so that
 * strangers with ever new keys cannot push out the members.
 */
export class AnswerMemory {
  readonly #yes = new Map<string, RememberedAnswer>();
  readonly #no = new Map<string, RememberedAnswer>();
  readonly #yesLimit: number;
  readonly #noLimit: number;

  constructor(yesLimit: number, noLimit: number) {
    this.#yesLimit = yesLimit;
    this.#noLimit = noLimit;
  }

  /** The last answer about `id`, or null. */
  get(id: string): RememberedAnswer | null {
    return this.#yes.get(id) ?? this.#no.get(id) ?? null;
  }

  /** Keeps an answer in the place of an older one. */
  set(id: string, isYes: boolean, at: number): void {
    this.#yes.delete(id);
    this.#no.delete(id);
    const [table, limit] = isYes ? [this.#yes, this.#yesLimit] : [this.#no, this.#noLimit];
    table.set(id, { isYes, at });
    if (table.size > limit) table.delete(table.keys().next().value!);
  }

  /** How many yeses are kept. */
  get members(): number {
    return this.#yes.size;
  }
}
