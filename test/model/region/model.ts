/**
 * A simple model of three relays of a region: where each client is connected, which client may get a packet, and which notices each
 * client gets. It has no links, sockets and time.
 */

export const RELAYS = 3;

/** An open connection. */
export interface Member {
  readonly id: number;
  readonly key: number;
  readonly relay: number;
  /** Thread of its relay; 0 is the main thread. */
  readonly thread: number;
  /** Notices that it must get next, in any order within one step, as the `Notice` of an inbox. */
  notices: string[];
  /** Notices that it may get. */
  allowed: string[];
}

/** A packet that was sent. */
export interface Sent {
  readonly name: string;
  readonly key: number;
  /** One of these gets it, once. Empty: no client gets it. */
  readonly candidates: readonly Member[];
  /** True if it may be lost, because a link or a thread ends meanwhile. */
  readonly mayBeLost: boolean;
}

export class RegionModel {
  readonly members: Map<number, Member> = new Map();
  /** Whether relays have two threads, of which one may end. */
  readonly hasThreads: boolean;
  /** By key: the connections that have received packets of it. */
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
    // Each gets a notice once, when it is not the only one any more.
    if (others.length === 1) others[0]!.notices.push('health bad');
    if (others.length > 0) member.notices.push('health bad');
    return member;
  }

  /** A connection has ended. */
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
   * A key was connected to two relays, and left one of them before all others knew of both. To these, the key may seem to have
   * left.
   */
  moved(key: number): void {
    for (const one of this.#reached.get(key) ?? []) one.allowed.push(`gone ${key}`);
  }

  /** Returns the connections that may get a packet of `from` for `key`: those at the same relay, or else those at other relays. */
  candidates(from: Member, key: number): readonly Member[] {
    const here = this.at(from.relay, key);
    return here.length > 0 ? here : this.open.filter((member) => member.key === key);
  }

  /** `member` received a packet of `key`. */
  received(key: number, member: Member): void {
    const reached = this.#reached.get(key);
    if (reached === undefined) this.#reached.set(key, new Set([member]));
    else reached.add(member);
  }

  /** `member` got an allowed notice: it does not count as reached any more. */
  toldAllowed(notice: string, member: Member): void {
    this.#reached.get(Number(notice.split(' ')[1]))?.delete(member);
  }
}
