import { CLOCK_TICK_MS, SLOW_TICK_MS, type Clock } from '../../base/clock.ts';
import { sourcePath, type PrefixSet } from '../../base/ip-prefix.ts';
import type { RefusalReason } from '../../observe/counters.ts';
import type { Admitted, DoorGuard, GuardedConnection, GuardRefusal, MemoryLimit } from './door-guard.ts';
import { PlaceKind, type SharedPlaces } from './shared-places.ts';
import { bySource, type RateLimits, SourceRates } from './source-rates.ts';
import { type Place, SourceTable } from './source-table.ts';

export interface GuardLimits extends RateLimits {
  /** Open connections in total. 0 means no limit, here and below. */
  readonly connections: number;
  /** Open connections of one source. */
  readonly connectionsPerSource: number;
  /** Connections that are not admitted DERP connections: unfinished handshakes, and HTTP. */
  readonly handshakes: number;
  readonly handshakesPerSource: number;
  /** How long a handshake may be silent while there are few. */
  readonly handshakeMs: number;
  /** Addresses without limits by source. They count as sources when room must be made. */
  readonly exempt: PrefixSet;
}

/** Time between checks of memory and removals of old entries. */
const CHECK_MS = 1000;
/** One site has at most this part of the places for handshakes. */
const SITE_SHARE = 4;
/** Established connections leave this part of all places to new connections, but not more than the second number. */
const NEWCOMER_SHARE = 16;
const MAX_NEWCOMERS = 256;
/**
 * The source with the most connections makes room for itself only with connections older than this: it may just be
 * busy.
 */
const PATIENCE_MS = 1000;
/** From half full on, handshakes get less time, down to this. */
const LEAST_HANDSHAKE_MS = 2000;
const CROWDED_SHARE = 0.5;

/**
 * Limits for the whole server and by source: IPv4 address, IPv6 /64, and IPv6 /48 with a larger limit. A limit that
 * several sources share never refuses a source without connections: instead, the oldest connection of the source with
 * the most connections is ended. Only an admitted connection can replace another admitted one, and only one of a source
 * that has more.
 */
export class SourceGuard implements DoorGuard {
  readonly #limits: GuardLimits;
  readonly #clock: Clock;
  readonly #memory: MemoryLimit;
  /** What each source did lately, in all threads. */
  readonly rates: SourceRates;
  readonly #siteHandshakes: number;
  /** Unfinished handshakes and HTTP connections, which can be ended without harm. */
  readonly #handshakes: SourceTable<Entry>;
  readonly #sessions: SourceTable<Entry>;
  readonly #leaveClock: () => void;
  #connections: number;
  #isForDescriptors = false;
  #checkedMs = 0;

  /** `places` has the counts of all threads of this process; null: there is one thread. */
  constructor(limits: GuardLimits, clock: Clock, memory: MemoryLimit, places: SharedPlaces | null = null) {
    this.#limits = limits;
    this.#clock = clock;
    this.#memory = memory;
    this.#connections = orUnlimited(limits.connections);
    this.rates = new SourceRates(limits);
    this.#handshakes = new SourceTable(places?.table(PlaceKind.Handshake));
    this.#sessions = new SourceTable(places?.table(PlaceKind.Session));
    const { handshakes, handshakesPerSource, siteFactor } = limits;
    this.#siteHandshakes =
      handshakesPerSource === 0
        ? Infinity
        : Math.max(Math.min(handshakesPerSource * siteFactor, Math.floor(orUnlimited(handshakes) / SITE_SHARE)), 1);
    this.#leaveClock = clock.onTick((now) => this.#check(now), SLOW_TICK_MS);
  }

  admit(ip: string, connection: GuardedConnection): Admitted | GuardRefusal {
    const path = sourcePath(ip);
    const refusal = this.#limits.exempt.has(ip) ? null : this.#sourceRefusal(path);
    const full = refusal ?? this.#makeRoom(path);
    if (full !== null) return full;
    if (!this.#limits.exempt.has(ip)) this.rates.connected(path, this.now);
    return new Entry(this, connection, ip, this.#handshakes, path);
  }

  misbehaved(ip: string, reason: RefusalReason): void {
    if (!this.#limits.exempt.has(ip)) this.rates.misbehaved(sourcePath(ip), reason, this.now);
  }

  /** Number of connections that are not admitted DERP connections. */
  get underWay(): number {
    return this.#handshakes.size;
  }

  /** Number of open connections of all sources. */
  get open(): number {
    return this.#handshakes.size + this.#sessions.size;
  }

  get #openInAll(): number {
    return this.#handshakes.sizeOfAll + this.#sessions.sizeOfAll;
  }

  /** Sets the largest number of open connections, and whether descriptors are the reason. */
  setConnectionLimit(connections: number, isForDescriptors: boolean): void {
    this.#connections = connections;
    this.#isForDescriptors = isForDescriptors;
    while (this.#openInAll > connections) {
      const oldest = this.#handshakes.oldest;
      if (oldest === null) return;
      this.#evict(oldest, this.#full());
    }
  }

  /** Stops the timer. */
  close(): void {
    this.#leaveClock();
  }

  /** Milliseconds of the clock. */
  get now(): number {
    return this.#clock.now;
  }

  /** Counts the connection of `entry` for `ip`, unless a refusal is returned. */
  move(entry: Entry, ip: string): GuardRefusal | null {
    const path = sourcePath(ip);
    if (!this.#limits.exempt.has(ip)) {
      const refusal = this.#sourceRefusal(path);
      if (refusal !== null) return refusal;
      this.rates.connected(path, this.now);
    }
    entry.place(this.#handshakes, path, ip);
    return null;
  }

  /** Marks the connection of `entry` as admitted, unless a refusal is returned. */
  establish(entry: Entry, isExempt: boolean): GuardRefusal | null {
    const path = sourcePath(entry.ip);
    const refusal = isExempt ? null : this.#sessionRefusal(entry, path);
    if (refusal === null) entry.place(this.#sessions, path, entry.ip);
    return refusal;
  }

  #sessionRefusal(entry: Entry, path: readonly string[]): GuardRefusal | null {
    const { connectionsPerSource, siteFactor, exempt } = this.#limits;
    if (!exempt.has(entry.ip)) {
      if (isReached(connectionsPerSource, this.#sessions.heldByAll(path.at(-1)!)))
        return bySource('open connections from this source');
      const site = path[0]!;
      if (path.length > 1 && isReached(connectionsPerSource * siteFactor, this.#sessions.heldByAll(site))) {
        const refusal = this.#replaceSession(path, bySource(`open connections from ${site}`), site);
        if (refusal !== null) return refusal;
      }
    }
    const isFull = this.#sessions.sizeOfAll >= this.#connections - this.#newcomers();
    if (isFull || this.#memory.isFull) {
      return this.#replaceSession(path, this.#full());
    }
    return null;
  }

  /** Returns the number of places that established connections leave to new ones. */
  #newcomers(): number {
    return Math.min(Math.floor(this.#connections / NEWCOMER_SHARE), MAX_NEWCOMERS);
  }

  /** Returns the refusal when there is no room for more connections. */
  #full(): GuardRefusal {
    if (this.#memory.isFull) return { reason: 'memory_limit', detail: 'too much memory is in use' };
    const reason = this.#isForDescriptors ? 'descriptor_limit' : 'connection_limit';
    return { reason, detail: `${this.#connections} connections are open` };
  }

  #makeRoom(path: readonly string[]): GuardRefusal | null {
    if (this.#openInAll >= this.#connections || this.#memory.isFull) {
      const { size, sizeOfAll } = this.#handshakes;
      if (size > 0 && sizeOfAll >= this.#newcomers()) return this.#replaceHandshake(path, this.#full());
      // Room is made when it is admitted, if it can be made.
      if (this.#sessions.candidate(path, 'youngest', 1)?.isOwn !== false) return this.#full();
    }
    const { handshakes } = this.#limits;
    if (!isReached(handshakes, this.#handshakes.sizeOfAll)) return null;
    return this.#replaceHandshake(path, {
      reason: 'handshake_limit',
      detail: `${handshakes} connections wait to be admitted`,
    });
  }

  #replaceHandshake(path: readonly string[], why: GuardRefusal, within?: string): GuardRefusal | null {
    const candidate = this.#handshakes.candidate(path, 'oldest', 0, within);
    if (candidate === null) return why;
    const { place, isOwn } = candidate;
    if (isOwn && this.#clock.now - place.sinceMs < PATIENCE_MS) return why;
    this.#evict(place, why);
    return null;
  }

  /** Ends the youngest session: clients that have been connected for longer are more likely legitimate. */
  #replaceSession(path: readonly string[], why: GuardRefusal, within?: string): GuardRefusal | null {
    const candidate = this.#sessions.candidate(path, 'youngest', 1, within);
    if (candidate === null || candidate.isOwn) return why;
    this.#evict(candidate.place, why);
    return null;
  }

  #evict({ item }: Place<Entry>, { reason, detail }: GuardRefusal): void {
    item.left();
    item.connection.evicted(reason, `makes room for others: ${detail}`);
  }

  #sourceRefusal(path: readonly string[]): GuardRefusal | null {
    const { connectionsPerSource, handshakesPerSource } = this.#limits;
    const source = path[path.length - 1]!;
    const refusal = this.rates.refusalOfSource(path, this.now);
    if (refusal !== null) return refusal;
    const most = Math.min(orUnlimited(handshakesPerSource), this.#siteHandshakes);
    if (isReached(connectionsPerSource, this.#heldBy(source))) {
      return this.#replaceHandshake(path, bySource('open connections from this source'), source);
    }
    if (this.#handshakes.heldByAll(source) >= most) {
      return this.#replaceHandshake(path, bySource('unfinished handshakes from this source'), source);
    }
    return path.length === 1 ? null : this.#siteRefusal(path, path[0]!);
  }

  #siteRefusal(path: readonly string[], site: string): GuardRefusal | null {
    const { connectionsPerSource, siteFactor } = this.#limits;
    const refusal = this.rates.refusalOfSite(path, this.now);
    if (refusal !== null) return refusal;
    const handshakes = this.#handshakes.heldByAll(site);
    if (isReached(connectionsPerSource * siteFactor, this.#heldBy(site))) {
      const why = bySource(`open connections from ${site}`);
      if (this.#handshakes.held(site) > 0) return this.#replaceHandshake(path, why, site);
      // Room is made when it is admitted, if it can be made.
      return this.#sessions.candidate(path, 'youngest', 1, site)?.isOwn === false ? null : why;
    }
    if (handshakes < this.#siteHandshakes) return null;
    return this.#replaceHandshake(path, bySource(`unfinished handshakes from ${site}`), site);
  }

  /** Returns the number of connections of all kinds under a name. */
  #heldBy(name: string): number {
    return this.#handshakes.heldByAll(name) + this.#sessions.heldByAll(name);
  }

  #check(now: number): void {
    this.#expire(now);
    if (now - this.#checkedMs < CHECK_MS - CLOCK_TICK_MS / 2) return;
    this.#checkedMs = now;
    this.#memory.check(this.#handshakes.sizeOfAll, this.#sessions.sizeOfAll);
    this.rates.sweep(now);
  }

  /** Closes handshakes that take longer than allowed at the present number of handshakes. */
  #expire(now: number): void {
    const most = Math.min(orUnlimited(this.#limits.handshakes), this.#connections);
    const crowd = this.#handshakes.sizeOfAll / most;
    if (crowd <= CROWDED_SHARE) return;
    const { handshakeMs } = this.#limits;
    const least = Math.min(LEAST_HANDSHAKE_MS, handshakeMs);
    const timeMs = handshakeMs - (handshakeMs - least) * Math.min((crowd - CROWDED_SHARE) / (1 - CROWDED_SHARE), 1);
    for (;;) {
      const oldest = this.#handshakes.oldest;
      if (oldest === null || now - oldest.sinceMs < timeMs) return;
      this.#evict(oldest, { reason: 'handshake_limit', detail: 'many wait, and it was silent for long' });
    }
  }
}

class Entry implements Admitted {
  readonly connection: GuardedConnection;
  ip: string;
  readonly #guard: SourceGuard;
  #table: SourceTable<Entry>;
  #place: Place<Entry> | null;

  constructor(
    guard: SourceGuard,
    connection: GuardedConnection,
    ip: string,
    table: SourceTable<Entry>,
    path: readonly string[],
  ) {
    this.#guard = guard;
    this.connection = connection;
    this.ip = ip;
    this.#table = table;
    this.#place = table.add(path, this, guard.now);
  }

  progressed(): void {
    if (this.#place !== null) this.#table.renew(this.#place, this.#guard.now);
  }

  movedTo(ip: string): GuardRefusal | null {
    return this.#place === null ? GONE : this.#guard.move(this, ip);
  }

  established(isExempt: boolean): GuardRefusal | null {
    return this.#place === null ? GONE : this.#guard.establish(this, isExempt);
  }

  left(): void {
    if (this.#place !== null) this.#table.remove(this.#place);
    this.#place = null;
  }

  /** Moves it into a table, counted for `ip`. */
  place(table: SourceTable<Entry>, path: readonly string[], ip: string): void {
    this.left();
    this.ip = ip;
    this.#table = table;
    this.#place = table.add(path, this, this.#guard.now);
  }
}

const GONE: GuardRefusal = { reason: 'connection_limit', detail: 'it has been closed already' };

function orUnlimited(limit: number): number {
  return limit === 0 ? Infinity : limit;
}

function isReached(limit: number, value: number): boolean {
  return limit > 0 && value >= limit;
}
