import { Duplicates, type DuplicatePolicy, Speech } from './duplicates.ts';
import { KEY_WORDS } from './key-words.ts';
import type { Recipient, Source } from './recipient.ts';

/** One node key: its connections here, normally one, and which of them is given packets (protocol reference §4.4). */
export class Peer implements Source {
  readonly key: Buffer;
  /** Recipients that have received packets of it; managed by `Contacts`, null until there is one. */
  reached: Set<Recipient> | null = null;
  /** The connection that gets packets; null when there is none or all are disabled. */
  active: Recipient | null = null;
  /** Largest number of connections of the key; null: the limit of all keys. */
  mostConnections: number | null = null;
  /** When the only connection joined. */
  #joined = 0;
  #duplicates: Duplicates | null = null;
  /** Made when they are needed. */
  #words: Int32Array | null = null;

  constructor(key: Buffer) {
    this.key = key;
  }

  /** The key as eight little-endian words, for writing it fast. */
  get words(): Int32Array {
    return (this.#words ??= Int32Array.from({ length: KEY_WORDS }, (_, i) => this.key.readInt32LE(i * 4)));
  }

  /** A packet with this source comes from one of its connections here. */
  get isProved(): boolean {
    return true;
  }

  /** Connections to this relay. */
  get size(): number {
    return this.#duplicates?.size ?? (this.active === null ? 0 : 1);
  }

  /** The oldest connection. */
  get oldest(): Recipient | null {
    return this.#duplicates?.oldest ?? this.active;
  }

  /** The `count` oldest connections, or all when there are fewer. */
  oldestOnes(count: number): readonly Recipient[] {
    return this.#duplicates?.oldestOnes(count) ?? (this.active === null ? [] : [this.active]);
  }

  get members(): Iterable<Recipient> {
    return this.#duplicates?.members ?? (this.active === null ? [] : [this.active]);
  }

  /** A new connection, which becomes the active one. `joined` is the number of this event in an `EventOrder`. */
  add(connection: Recipient, joined: number): void {
    if (this.#duplicates !== null) this.#duplicates.add(connection, joined);
    else if (this.active !== null) this.#duplicates = new Duplicates(this.active, this.#joined, connection, joined);
    else this.#joined = joined;
    this.active = this.#duplicates === null ? connection : this.#duplicates.active;
  }

  /** A connection has left; another one may be active now. */
  remove(connection: Recipient): void {
    const duplicates = this.#duplicates;
    if (duplicates === null) {
      if (this.active === connection) this.active = null;
      return;
    }
    duplicates.remove(connection);
    this.active = duplicates.active;
    const [only] = duplicates.members;
    if (duplicates.size > 1 || only === undefined) return;
    this.#joined = duplicates.joined(only);
    this.#duplicates = null;
    this.active = only;
  }

  /** Returns whether one of several connections counts as a speaker, so that its next frame may be a conflict. */
  isSpeaker(connection: Recipient): boolean {
    return this.#duplicates?.isSpeaker(connection) ?? false;
  }

  /** The connection's own thread reports that it is one of several and a speaker. */
  spokeFirst(connection: Recipient): void {
    this.#duplicates?.spokeFirst(connection);
  }

  /** Returns the effect of a frame (of any type) that one of several connections sends now. */
  speech(connection: Recipient, policy: DuplicatePolicy): Speech {
    return this.#duplicates?.speech(connection, policy) ?? Speech.Nothing;
  }

  /** Applies the effect of a frame of one of several connections, which is event `at`. */
  spoke(connection: Recipient, speech: Speech, at: number): void {
    if (this.#duplicates === null) return;
    this.#duplicates.spoke(connection, speech, at);
    this.active = this.#duplicates.active;
  }
}
