import type { Recipient } from './recipient.ts';

/** What happens when several connections have one key (protocol reference §4.4). */
export const DuplicatePolicy = {
  /** Whichever connection sent the latest frame is active. Upstream's default. */
  LastWriter: 'last-writer',
  /** Connections that speak in turns are all disabled until one remains. */
  DisableFighters: 'disable-fighters',
} as const;
export type DuplicatePolicy = (typeof DuplicatePolicy)[keyof typeof DuplicatePolicy];

/**
 * Two or more connections of one node key, and which of them is given packets: statements 34–41 of §9. Made when the
 * second one arrives and left behind when one remains.
 */
export class Duplicates {
  readonly members: Set<Recipient> = new Set();
  /** The one that is given packets; null when it is disabled. */
  active: Recipient | null = null;
  /** Who spoke, oldest first, each once. The upstream list with repeats removed: both answer the same questions. */
  #speakers: Recipient[];
  /** The preferred one: the newest, or the latest speaker. */
  #last: Recipient | null = null;
  readonly #disabled = new Set<Recipient>();

  /** `first` was alone, `second` is new. */
  constructor(first: Recipient, second: Recipient) {
    this.members.add(first);
    this.#speakers = [first];
    this.#enter(second);
  }

  /** One more. */
  add(connection: Recipient): void {
    this.#speakers.push(connection);
    this.#enter(connection);
  }

  /** One that is a member has left. */
  remove(connection: Recipient): void {
    this.members.delete(connection);
    this.#disabled.delete(connection);
    this.#speakers = this.#speakers.filter((speaker) => speaker !== connection);
    if (this.#last === connection) this.#last = this.#speakers.at(-1) ?? null;
    this.active = this.#last !== null && !this.#disabled.has(this.#last) ? this.#last : null;
  }

  /** A member has sent a frame of whatever type. */
  spoke(connection: Recipient, policy: DuplicatePolicy): void {
    if (policy === DuplicatePolicy.LastWriter || this.#last === null) {
      this.#last = connection;
      this.active = connection;
    }
    if (this.#speakers.at(-1) === connection) return;
    const before = this.#speakers.length;
    this.#speakers = this.#speakers.filter((speaker) => speaker !== connection);
    if (policy === DuplicatePolicy.DisableFighters && this.#speakers.length < before) {
      for (const member of this.members) this.#disabled.add(member);
      this.active = null;
    }
    this.#speakers.push(connection);
  }

  #enter(connection: Recipient): void {
    this.members.add(connection);
    this.#last = connection;
    this.active = connection;
  }
}
