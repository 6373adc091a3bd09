import type { Recipient } from './recipient.ts';

/** The policy for several connections with one key (protocol reference §4.4). */
export const DuplicatePolicy = {
  /** The connection that sent the latest frame is active. Upstream's default. */
  LastWriter: 'last-writer',
  /** Connections that send in turns are all disabled until one remains. */
  DisableFighters: 'disable-fighters',
} as const;
export type DuplicatePolicy = (typeof DuplicatePolicy)[keyof typeof DuplicatePolicy];

/** The effect of a frame of one of several connections. */
export const Speech = {
  Nothing: 0,
  /** The connection is the latest speaker. */
  Noted: 1,
  /** It also becomes the active one, by {@link DuplicatePolicy.LastWriter}. */
  Active: 2,
  /** It sends in turns with others: all are disabled, by {@link DuplicatePolicy.DisableFighters}. */
  Fight: 3,
} as const;
export type Speech = (typeof Speech)[keyof typeof Speech];

/** When a connection joined and when it last sent a frame, as numbers of an `EventOrder`. */
interface Times {
  readonly joined: number;
  /** 0: it is not a speaker yet. */
  spoke: number;
}

/**
 * Two or more connections of one node key, and which of them gets the packets: statements 34–41 of §9. It is made when
 * the second connection joins and dropped when one remains. Events carry an order number, so it does not matter in
 * which order they arrive.
 */
export class Duplicates {
  /** The connection that gets packets; null when it is disabled. */
  active: Recipient | null = null;
  readonly #members = new Map<Recipient, Times>();
  #latestSpeaker: Recipient | null = null;
  /** The preferred one: the newest, or the latest speaker. */
  #last: Recipient | null = null;
  #lastAt = 0;
  /** Members that joined before this event are disabled. */
  #disabledAt = 0;

  /** `one` was alone, `other` is new. Each comes with the number of its joining. */
  constructor(one: Recipient, oneJoined: number, other: Recipient, otherJoined: number) {
    const isOther = otherJoined < oneJoined;
    // Upstream's list of speakers begins with the first connection. The second one is added when it sends a frame.
    this.#members.set(isOther ? other : one, {
      joined: Math.min(oneJoined, otherJoined),
      spoke: Math.min(oneJoined, otherJoined),
    });
    this.#members.set(isOther ? one : other, { joined: Math.max(oneJoined, otherJoined), spoke: 0 });
    this.#latestSpeaker = isOther ? other : one;
    this.#prefer(one, oneJoined);
    this.#prefer(other, otherJoined);
    this.#choose();
  }

  get size(): number {
    return this.#members.size;
  }

  get members(): Iterable<Recipient> {
    return this.#members.keys();
  }

  /** The oldest connection. */
  get oldest(): Recipient {
    return this.#most((left, right) => left.joined < right.joined)!;
  }

  /** The `count` oldest connections, the oldest first. */
  oldestOnes(count: number): readonly Recipient[] {
    if (count === 1) return [this.oldest];
    const byAge = [...this.#members].toSorted(([, left], [, right]) => left.joined - right.joined);
    return byAge.slice(0, count).map(([member]) => member);
  }

  /** Returns when a member joined. */
  joined(connection: Recipient): number {
    return this.#members.get(connection)?.joined ?? 0;
  }

  /** Adds a connection that joined at `joined`. */
  add(connection: Recipient, joined: number): void {
    this.#members.set(connection, { joined, spoke: joined });
    this.#findSpeaker();
    this.#prefer(connection, joined);
    this.#choose();
  }

  /** A member counts as a speaker since it joined, because its own thread has decided that. */
  spokeFirst(connection: Recipient): void {
    const times = this.#members.get(connection);
    if (times === undefined || times.spoke > 0) return;
    times.spoke = times.joined;
    this.#findSpeaker();
  }

  /** Returns whether a member is a speaker. All members are from their joining on, except the second one. */
  isSpeaker(connection: Recipient): boolean {
    return (this.#members.get(connection)?.spoke ?? 0) > 0;
  }

  /** A member has left. */
  remove(connection: Recipient): void {
    this.#members.delete(connection);
    if (this.#latestSpeaker === connection) this.#findSpeaker();
    if (this.#last === connection) {
      this.#last = this.#latestSpeaker;
      this.#lastAt = this.#last === null ? 0 : this.#members.get(this.#last)!.spoke;
    }
    this.#choose();
  }

  /** Returns the effect of a frame (of any type) that a member sends now. */
  speech(connection: Recipient, policy: DuplicatePolicy): Speech {
    const isLatest = this.#latestSpeaker === connection;
    if (policy === DuplicatePolicy.LastWriter) {
      return isLatest && this.active === connection ? Speech.Nothing : Speech.Active;
    }
    if (isLatest) return Speech.Nothing;
    return this.#members.get(connection)?.spoke === 0 ? Speech.Noted : Speech.Fight;
  }

  /** Applies the effect of a member's frame, which is event `at`. */
  spoke(connection: Recipient, speech: Speech, at: number): void {
    const times = this.#members.get(connection);
    if (times === undefined) return;
    times.spoke = Math.max(times.spoke, at);
    this.#findSpeaker();
    if (speech === Speech.Fight) this.#disabledAt = Math.max(this.#disabledAt, at);
    if (speech === Speech.Active) {
      if (at > this.#disabledAt) this.#disabledAt = 0;
      this.#prefer(connection, at);
    }
    this.#choose();
  }

  #prefer(connection: Recipient, at: number): void {
    if (at < this.#lastAt) return;
    this.#last = connection;
    this.#lastAt = at;
  }

  #choose(): void {
    const last = this.#last;
    this.active = last !== null && this.#members.get(last)!.joined >= this.#disabledAt ? last : null;
  }

  #findSpeaker(): void {
    const latest = this.#most((left, right) => left.spoke > right.spoke);
    this.#latestSpeaker = latest !== null && this.#members.get(latest)!.spoke > 0 ? latest : null;
  }

  /** Returns the greatest member by `isMore`. */
  #most(isMore: (left: Times, right: Times) => boolean): Recipient | null {
    let most: Recipient | null = null;
    let timesOfMost: Times | null = null;
    for (const [member, times] of this.#members) {
      if (timesOfMost !== null && !isMore(times, timesOfMost)) continue;
      most = member;
      timesOfMost = times;
    }
    return most;
  }
}
