import { KEY_BYTES } from '../../wire/frames.ts';
import { Duplicates, type DuplicatePolicy } from './duplicates.ts';
import type { Recipient, Source } from './recipient.ts';

/** Words of a node key. */
export const KEY_WORDS: number = KEY_BYTES / 4;

/** All connections of one node key, normally one, and which of them is given packets (protocol reference §4.4). */
export class Peer implements Source {
  readonly key: Buffer;
  /** The key as eight little-endian words, for comparing and writing it fast. */
  readonly words: Int32Array;
  reached: Set<Recipient> | null = null;
  /** The connection that is given packets; null when there is none or all are disabled. */
  active: Recipient | null = null;
  #duplicates: Duplicates | null = null;

  constructor(key: Buffer) {
    this.key = key;
    this.words = Int32Array.from({ length: KEY_WORDS }, (_, i) => key.readInt32LE(i * 4));
  }

  get size(): number {
    return this.#duplicates?.members.size ?? (this.active === null ? 0 : 1);
  }

  /** The connection that was there first. */
  get oldest(): Recipient | null {
    return this.#duplicates?.members.values().next().value ?? this.active;
  }

  get members(): Iterable<Recipient> {
    return this.#duplicates?.members ?? (this.active === null ? [] : [this.active]);
  }

  /** A new connection becomes the active one. */
  add(connection: Recipient): void {
    if (this.#duplicates !== null) this.#duplicates.add(connection);
    else if (this.active !== null) this.#duplicates = new Duplicates(this.active, connection);
    this.active = connection;
  }

  /** A connection left; the rest may have another active one now. */
  remove(connection: Recipient): void {
    const duplicates = this.#duplicates;
    if (duplicates === null) {
      if (this.active === connection) this.active = null;
      return;
    }
    duplicates.remove(connection);
    this.active = duplicates.active;
    const [only] = duplicates.members;
    if (duplicates.members.size > 1 || only === undefined) return;
    this.#duplicates = null;
    this.active = only;
  }

  /** One of several connections has sent a frame of whatever type. */
  spoke(connection: Recipient, policy: DuplicatePolicy): void {
    if (this.#duplicates === null) return;
    this.#duplicates.spoke(connection, policy);
    this.active = this.#duplicates.active;
  }
}
