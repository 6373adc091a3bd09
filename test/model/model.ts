/**
 * A simple model of a relay: its clients, their packets and notices, and the
 * counters (protocol reference §4). It has no sockets, buffers and time.
 */

export type Policy = 'last-writer' | 'disable-fighters';
export type Kind = 'other' | 'disco';

/** A notice for a client. Notices about unknown destinations are limited by time and counted separately. */
export type Notice = `gone ${number}` | 'health bad' | 'health good';

/** An expected packet: the connection of its sender, its number there, and its size. */
export interface Expected {
  readonly sender: number;
  readonly sequence: number;
  readonly kind: Kind;
  readonly bytes: number;
}

/** An open connection. */
export interface Member {
  readonly id: number;
  readonly key: number;
  home: boolean;
  isStalled: boolean;
  /** Packets that must arrive, by {@link packetName}. */
  readonly due: Map<string, Expected>;
  /** Packets that were sent while it was stalled: they may arrive, or are dropped and counted. */
  readonly possible: Map<string, Expected>;
  /** Notices that it must get next, in any order within one command. */
  notices: Notice[];
  /** Packets to unknown keys that looked like disco, each of which may be answered with a notice. */
  unknownDisco: number;
}

/** All connections of one key. */
interface Holder {
  readonly members: Member[];
  /** The connection that gets the packets. */
  active: Member | null;
  /** The connection that sent a frame or connected last. */
  last: Member | null;
  /** The connections that sent a frame, oldest first, while there is more than one connection. */
  speakers: Member[];
  readonly disabled: Set<Member>;
}

/** The counters of the relay that this model predicts. */
export interface Totals {
  accepts: number;
  packetsReceived: number;
  bytesReceived: number;
  discoPacketsReceived: number;
  unknownOther: number;
  unknownDisco: number;
  disabledOther: number;
  disabledDisco: number;
  pings: number;
  duplicateConnectionsEver: number;
  notAdmitted: number;
  crowdedOut: number;
  writeTimeouts: number;
}

/** Returns the name of a packet, unique in a run. */
export function packetName(sender: number, sequence: number): string {
  return `${sender}/${sequence}`;
}

export class Model {
  readonly members: Map<number, Member> = new Map();
  readonly barred: Set<number> = new Set();
  readonly totals: Totals = {
    accepts: 0,
    packetsReceived: 0,
    bytesReceived: 0,
    discoPacketsReceived: 0,
    unknownOther: 0,
    unknownDisco: 0,
    disabledOther: 0,
    disabledDisco: 0,
    pings: 0,
    duplicateConnectionsEver: 0,
    notAdmitted: 0,
    crowdedOut: 0,
    writeTimeouts: 0,
  };
  /** Whether a connection that did not read has left, so that written packets are lost without a count. */
  hasLeftUnread = false;
  /** Packets that ended connections could have received, but did not. */
  lost = 0;
  /** Whether the list of keys may still be changed in this run. */
  canBar: boolean;
  readonly #policy: Policy;
  readonly #mostPerKey: number;
  readonly #holders = new Map<number, Holder>();
  /** By source key: the connections that have received something from it. */
  readonly #reached = new Map<number, Set<Member>>();
  #nextId = 0;

  constructor(policy: Policy, mostPerKey: number, canBar: boolean) {
    this.canBar = canBar;
    this.#policy = policy;
    this.#mostPerKey = mostPerKey;
  }

  /** The open connections, oldest first. */
  get open(): readonly Member[] {
    return [...this.members.values()];
  }

  get stalled(): Member | undefined {
    return this.open.find((member) => member.isStalled);
  }

  /** Returns the number of connections of `key`. */
  count(key: number): number {
    return this.#holders.get(key)?.members.length ?? 0;
  }

  /** The gauges of the relay. */
  get gauges(): Readonly<Record<string, number>> {
    const several = [...this.#holders.values()].filter(({ members }) => members.length > 1);
    return {
      connections: this.members.size,
      localKeys: this.#holders.size,
      homeConnections: this.open.filter(({ home }) => home).length,
      duplicateKeys: several.length,
      duplicateConnections: several.reduce((sum, { members }) => sum + members.length, 0),
    };
  }

  /** A key connects. Returns the new connection, and the one that was ended for it; null when the key is barred. */
  connect(key: number): { readonly member: Member; readonly ended: Member | null } | null {
    this.totals.accepts++;
    if (this.barred.has(key)) {
      this.totals.notAdmitted++;
      return null;
    }
    const member: Member = {
      id: this.#nextId++,
      key,
      home: false,
      isStalled: false,
      due: new Map(),
      possible: new Map(),
      notices: [],
      unknownDisco: 0,
    };
    this.members.set(member.id, member);
    const holder = this.#holders.get(key);
    if (holder === undefined) {
      const alone = { members: [member], active: member, last: null, speakers: [], disabled: new Set<Member>() };
      this.#holders.set(key, alone);
      return { member, ended: null };
    }
    this.totals.duplicateConnectionsEver++;
    const oldest = holder.members[0]!;
    // Each gets a notice once, when it is not the only one any more: the first and the second together, each further one separately.
    if (holder.members.length === 1) {
      oldest.notices.push('health bad');
      holder.speakers = [oldest];
    } else {
      holder.speakers.push(member);
    }
    member.notices.push('health bad');
    holder.members.push(member);
    holder.last = holder.active = member;
    if (holder.members.length <= this.#mostPerKey) return { member, ended: null };
    this.totals.crowdedOut++;
    this.leave(oldest);
    return { member, ended: oldest };
  }

  /** A connection has ended, for any reason. */
  leave(member: Member): void {
    if (member.isStalled) this.hasLeftUnread = true;
    this.lost += member.possible.size;
    this.members.delete(member.id);
    for (const reached of this.#reached.values()) reached.delete(member);
    const holder = this.#holders.get(member.key)!;
    holder.members.splice(holder.members.indexOf(member), 1);
    const [first] = holder.members;
    if (first === undefined) {
      this.#holders.delete(member.key);
      for (const one of this.#reached.get(member.key) ?? []) one.notices.push(`gone ${member.key}`);
      this.#reached.delete(member.key);
      return;
    }
    holder.speakers = holder.speakers.filter((speaker) => speaker !== member);
    holder.disabled.delete(member);
    if (holder.last === member) holder.last = holder.speakers.at(-1) ?? null;
    holder.active = holder.last !== null && !holder.disabled.has(holder.last) ? holder.last : null;
    if (holder.members.length > 1) return;
    first.notices.push('health good');
    Object.assign(holder, { active: first, last: null, speakers: [], disabled: new Set<Member>() });
  }

  /** A connection sent a frame of any type. */
  spoke(member: Member): void {
    const holder = this.#holders.get(member.key)!;
    if (holder.members.length < 2) return;
    if (this.#policy === 'last-writer' || holder.last === null) holder.last = holder.active = member;
    if (holder.speakers.at(-1) === member) return;
    if (this.#policy === 'disable-fighters' && holder.speakers.includes(member)) {
      for (const fighter of holder.members) holder.disabled.add(fighter);
      holder.active = null;
    }
    holder.speakers = [...holder.speakers.filter((speaker) => speaker !== member), member];
  }

  ping(member: Member): void {
    this.spoke(member);
    this.totals.pings++;
  }

  setHome(member: Member, home: boolean): void {
    this.spoke(member);
    member.home = home;
  }

  /** A connection sends a packet to `key`. */
  send(member: Member, key: number, packet: Expected): void {
    const { totals } = this;
    this.spoke(member);
    totals.packetsReceived++;
    totals.bytesReceived += packet.bytes;
    if (packet.kind === 'disco') totals.discoPacketsReceived++;
    const holder = this.#holders.get(key);
    if (holder === undefined) {
      if (packet.kind === 'disco') {
        totals.unknownDisco++;
        member.unknownDisco++;
      } else {
        totals.unknownOther++;
      }
      return;
    }
    const receiver = holder.active;
    if (receiver === null) {
      if (packet.kind === 'disco') totals.disabledDisco++;
      else totals.disabledOther++;
      return;
    }
    const reached = this.#reached.get(member.key) ?? new Set();
    this.#reached.set(member.key, reached.add(receiver));
    (receiver.isStalled ? receiver.possible : receiver.due).set(packetName(packet.sender, packet.sequence), packet);
  }

  /** The list of keys changes: the connections of removed keys end. Returns these connections. */
  bar(keys: readonly number[]): readonly Member[] {
    this.canBar = false;
    this.barred.clear();
    for (const key of keys) this.barred.add(key);
    const expelled = this.open.filter(({ key }) => this.barred.has(key));
    for (const member of expelled) {
      // It gets no more notices: its end causes notices only for others.
      this.leave(member);
      this.totals.notAdmitted++;
    }
    return expelled;
  }
}
