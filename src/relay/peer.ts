import { KEY_BYTES } from '../wire/frames.ts';
import type { Contactable, Recipient } from './recipient.ts';

/** Words of a node key. */
export const KEY_WORDS: number = KEY_BYTES / 4;

/** What happens when several connections have one key (protocol reference §4.4). */
export const DuplicatePolicy = {
  /** Whichever connection sent the latest frame is active. Upstream's default. */
  LastWriter: 'last-writer',
  /** Connections that speak in turns are all disabled until one remains. */
  DisableFighters: 'disable-fighters',
} as const;
export type DuplicatePolicy = (typeof DuplicatePolicy)[keyof typeof DuplicatePolicy];

/**
 * All connections of one node key and which of them is given packets. A key normally has one; the rules for more are
 * those of §4.4 and statements 34–41 of §9.
 */
export class Peer implements Contactable {
  readonly key: Buffer;
  /** The key as eight little-endian words, for comparing and writing it fast. */
  readonly words: Int32Array;
  readonly reached: Set<Recipient> = new Set();
  /** The connection that is given packets; null when all are disabled. */
  active: Recipient | null = null;
  readonly #members = new Set<Recipient>();
  /** Who spoke, oldest first, each once. The upstream list with repeats removed: both answer the same questions. */
  #speakers: Recipient[] = [];
  /** The preferred one among duplicates: the newest, or the latest speaker. */
  #last: Recipient | null = null;
  readonly #disabled = new Set<Recipient>();

  constructor(key: Buffer) {
    this.key = key;
    this.words = Int32Array.from({ length: KEY_WORDS }, (_, i) => key.readInt32LE(i * 4));
  }

  get size(): number {
    return this.#members.size;
  }

  get members(): Iterable<Recipient> {
    return this.#members;
  }

  /** A new connection becomes the active one. */
  add(connection: Recipient): void {
    if (this.#members.size === 1) this.#speakers = [...this.#members];
    else if (this.#members.size > 1) this.#speakers.push(connection);
    this.#members.add(connection);
    this.#last = connection;
    this.active = connection;
  }

  /** A connection left; the rest may have another active one now. */
  remove(connection: Recipient): void {
    if (!this.#members.delete(connection)) return;
    this.#disabled.delete(connection);
    this.#speakers = this.#speakers.filter((speaker) => speaker !== connection);
    if (this.#last === connection) this.#last = this.#speakers.at(-1) ?? null;
    const [only] = this.#members;
    if (this.#members.size === 1 && only !== undefined) {
      this.#disabled.clear();
      this.#last = only;
    }
    this.active = this.#last !== null && !this.#disabled.has(this.#last) ? this.#last : null;
  }

  /** One of several connections has sent a frame of whatever type. */
  spoke(connection: Recipient, policy: DuplicatePolicy): void {
    if (policy === DuplicatePolicy.LastWriter || this.#last === null) {
      this.#last = connection;
      this.active = connection;
    }
    if (this.#speakers.at(-1) === connection) return;
    const before = this.#speakers.length;
    this.#speakers = this.#speakers.filter((speaker) => speaker !== connection);
    if (policy === DuplicatePolicy.DisableFighters && this.#speakers.length < before) {
      for (const member of this.#members) this.#disabled.add(member);
      this.active = null;
    }
    this.#speakers.push(connection);
  }
}
