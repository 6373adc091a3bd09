/**
 * What three relays of a region must do together, in as few words as possible: who is where, who may be given a packet, and who is
 * told what. It knows nothing of links, threads, sockets and time.
 */

export const RELAYS = 3;

/** One connection that is open. */
export interface Member {
  readonly id: number;
  readonly key: number;
  readonly relay: number;
  /** Of its relay; 0 is the main one. */
  readonly thread: number;
  /** What it must be told next, in any order within one step, as the `Notice` of an inbox. */
  notices: string[];
  /** What it may be told or not. */
  allowed: string[];
}

/** A packet that was sent. */
export interface Sent {
  readonly name: string;
  readonly key: number;
  /** One of these gets it, once; nobody when there is none. */
  readonly candidates: readonly Member[];
  /** It may be lost: a link or a thread ends meanwhile. */
  readonly mayBeLost: boolean;
}

export class RegionModel {
  readonly members: Map<number, Member> = new Map();
  /** Relays have two threads, of which one may end. */
  readonly hasThreads: boolean;
  /** By key: the connections that have been given packets of it. */
  readonly #reached = new Map<number, Set<Member>>();
  #nextId = 0;

  constructor(hasThreads: boolean) {
    this.hasThreads = hasThreads;
  }

  get open(): readonly Member[] {
    return [...this.members.values()];
  }

  /** The connections of `key` at a relay, the oldest first. */
  at(relay: number, key: number): readonly Member[] {
    return this.open.filter((member) => member.relay === relay && member.key === key);
  }

  keysAt(relay: number): ReadonlySet<number> {
    return new Set(this.open.filter((member) => member.relay === relay).map(({ key }) => key));
  }

  /** Keys that are at other relays and not at this one. */
  keysElsewhere(relay: number): ReadonlySet<number> {
    const here = this.keysAt(relay);
    return new Set(this.open.map(({ key }) => key).filter((key) => !here.has(key)));
  }

  connect(key: number, relay: number, thread: number): Member {
    const others = this.at(relay, key);
    const member: Member = { id: this.#nextId++, key, relay, thread, notices: [], allowed: [] };
    this.members.set(member.id, member);
    // Each is told once, when it stops being alone.
    if (others.length === 1) others[0]!.notices.push('health bad');
    if (others.length > 0) member.notices.push('health bad');
    return member;
  }

  /** A connection is gone. */
  leave(member: Member): void {
    const { key, relay } = member;
    this.members.delete(member.id);
    for (const reached of this.#reached.values()) reached.delete(member);
    const others = this.at(relay, key);
    if (others.length === 1) others[0]!.notices.push('health good');
    if (this.open.some((other) => other.key === key)) return;
    for (const one of this.#reached.get(key) ?? []) one.notices.push(`gone ${key}`);
    this.#reached.delete(key);
  }

  /**
   * A key was for a moment at two relays, and left one of them before all others knew of both: to these it may have seemed to
   * leave.
   */
  moved(key: number): void {
    for (const one of this.#reached.get(key) ?? []) one.allowed.push(`gone ${key}`);
  }

  /** Who may be given a packet of `from` for `key`: who is at the same relay, else who is at another one. */
  candidates(from: Member, key: number): readonly Member[] {
    const here = this.at(from.relay, key);
    return here.length > 0 ? here : this.open.filter((member) => member.key === key);
  }

  /** `member` was given a packet of `key`. */
  received(key: number, member: Member): void {
    const reached = this.#reached.get(key);
    if (reached === undefined) this.#reached.set(key, new Set([member]));
    else reached.add(member);
  }

  /** `member` was told what it might be told: it counts as not reached any more. */
  toldAllowed(notice: string, member: Member): void {
    this.#reached.get(Number(notice.split(' ')[1]))?.delete(member);
  }
}
