import { CLOCK_TICK_MS, type Clock } from '../clock.ts';
import type { RefusalReason } from '../observe/counters.ts';
import { sourceNames, type PrefixSet, type SourceNames } from '../wire/ip-prefix.ts';
import { SourceRate, type RateRule } from './source-rate.ts';

/** Why a connection is not let in. */
export interface GuardRefusal {
  readonly reason: RefusalReason;
  readonly detail: string;
}

/** Decides on connections before anything is spent on them, and keeps account of those that are open. */
export interface DoorGuard {
  /** Null lets the connection in and counts it as open and under way. */
  admit(ip: string): GuardRefusal | null;
  /** It is no longer under way: its request is there, or it will never be. */
  settled(ip: string): void;
  /** It is gone. */
  left(ip: string): void;
  /** Something failed or was refused that a well-behaved client does not do. */
  misbehaved(ip: string, reason: RefusalReason): void;
}

export interface GuardLimits {
  /** Open connections in all. 0: no limit, as for the others here. */
  readonly connections: number;
  readonly connectionsPerSource: number;
  /** Connections whose TLS handshake or request head is under way. */
  readonly handshakes: number;
  readonly handshakesPerSource: number;
  /** Resident memory of the process. */
  readonly memoryBytes: number;
  readonly newConnections: RateRule;
  readonly failures: RateRule;
  readonly refusals: RateRule;
  /** A site (IPv6 /48) may have so many times what one source may. */
  readonly siteFactor: number;
  readonly trackedSources: number;
  /** Addresses that no limit by source applies to. */
  readonly exempt: PrefixSet;
}

/** How often memory is looked at and old entries are forgotten. */
const CHECK_MS = 1000;

/** Refusals that are no fault of who connects: counting them would keep a source out that has waited long enough. */
const OWN_REASONS: ReadonlySet<RefusalReason> = new Set<RefusalReason>([
  'source_limit',
  'connection_limit',
  'descriptor_limit',
  'handshake_limit',
  'memory_limit',
  'listener_error',
  'proxy_header',
  'untrusted_proxy',
  'write_timeout',
  'control_queue_full',
  // Ended is the oldest, which may come from somewhere else than the newest.
  'key_connections',
]);

interface Use {
  open: number;
  underWay: number;
}

type Rates = Readonly<Record<'newConnections' | 'failures' | 'refusals', SourceRate>>;

/** Limits for the whole server and by source: IPv4 address, IPv6 /64, and IPv6 /48 with a larger one. */
export class SourceGuard implements DoorGuard {
  readonly #limits: GuardLimits;
  readonly #clock: Clock;
  readonly #residentBytes: () => number;
  readonly #sources: Rates;
  readonly #sites: Rates;
  /** As many entries as there are sources with open connections, so the bound on these bounds it. */
  readonly #uses = new Map<string, Use>();
  readonly #total: Use = { open: 0, underWay: 0 };
  readonly #leaveClock: () => void;
  #memoryIsFull = false;
  #connections: number;
  #isForDescriptors = false;
  #checkedMs = 0;

  constructor(limits: GuardLimits, clock: Clock, residentBytes: () => number) {
    this.#limits = limits;
    this.#connections = limits.connections;
    this.#clock = clock;
    this.#residentBytes = residentBytes;
    this.#sources = rates(limits, 1);
    this.#sites = rates(limits, limits.siteFactor);
    this.#leaveClock = clock.onTick((now) => this.#check(now));
  }

  admit(ip: string): GuardRefusal | null {
    const isExempt = this.#limits.exempt.has(ip);
    const names = isExempt ? null : sourceNames(ip);
    const refusal = this.#serverRefusal() ?? (names === null ? null : this.#sourceRefusal(names));
    if (refusal !== null) return refusal;
    if (names !== null) {
      this.#count('newConnections', names);
      for (const key of keysOf(names)) {
        const use = this.#uses.get(key);
        if (use === undefined) this.#uses.set(key, { open: 1, underWay: 1 });
        else enter(use);
      }
    }
    enter(this.#total);
    return null;
  }

  settled(ip: string): void {
    this.#total.underWay--;
    for (const [, use] of this.#usesOf(ip)) use.underWay--;
  }

  left(ip: string): void {
    this.#total.open--;
    for (const [key, use] of this.#usesOf(ip)) if (--use.open === 0) this.#uses.delete(key);
  }

  misbehaved(ip: string, reason: RefusalReason): void {
    if (OWN_REASONS.has(reason) || this.#limits.exempt.has(ip)) return;
    this.#count(reason === 'not_admitted' || reason === 'app_denied' ? 'refusals' : 'failures', sourceNames(ip));
  }

  /** Connections that are under way, of all sources. */
  get underWay(): number {
    return this.#total.underWay;
  }

  /** Connections that are open, of all sources. */
  get open(): number {
    return this.#total.open;
  }

  /** How many connections may be open from now on, and whether that is for want of descriptors. */
  setConnectionLimit(connections: number, isForDescriptors: boolean): void {
    this.#connections = connections;
    this.#isForDescriptors = isForDescriptors;
  }

  /** Leaves the clock. */
  close(): void {
    this.#leaveClock();
  }

  #serverRefusal(): GuardRefusal | null {
    const { handshakes, memoryBytes } = this.#limits;
    const connections = this.#connections;
    if (this.#memoryIsFull) {
      return { reason: 'memory_limit', detail: `more than ${memoryBytes} bytes of memory are in use` };
    }
    if (isReached(connections, this.#total.open)) {
      const reason = this.#isForDescriptors ? 'descriptor_limit' : 'connection_limit';
      return { reason, detail: `${connections} connections are open` };
    }
    if (isReached(handshakes, this.#total.underWay)) {
      return { reason: 'handshake_limit', detail: `${handshakes} handshakes are under way` };
    }
    return null;
  }

  #sourceRefusal(names: SourceNames): GuardRefusal | null {
    const { connectionsPerSource, handshakesPerSource, siteFactor } = this.#limits;
    for (const key of keysOf(names)) {
      const factor = key === names.source ? 1 : siteFactor;
      const use = this.#uses.get(key);
      const what = `from ${factor === 1 ? 'this source' : key}`;
      if (isReached(connectionsPerSource * factor, use?.open ?? 0)) return bySource(`open connections ${what}`);
      if (isReached(handshakesPerSource * factor, use?.underWay ?? 0)) return bySource(`handshakes under way ${what}`);
      const table = factor === 1 ? this.#sources : this.#sites;
      const now = this.#clock.now;
      if (table.newConnections.isFull(key, now)) return bySource(`new connections ${what}`);
      if (table.failures.isFull(key, now)) return bySource(`failed handshakes ${what}`);
      if (table.refusals.isFull(key, now)) return bySource(`refused clients ${what}`);
    }
    return null;
  }

  #count(what: keyof Rates, { source, site }: SourceNames): void {
    this.#sources[what].count(source, this.#clock.now);
    if (site !== null) this.#sites[what].count(site, this.#clock.now);
  }

  *#usesOf(ip: string): Generator<[string, Use]> {
    for (const key of keysOf(sourceNames(ip))) {
      const use = this.#uses.get(key);
      if (use !== undefined) yield [key, use];
    }
  }

  #check(now: number): void {
    if (now - this.#checkedMs < CHECK_MS - CLOCK_TICK_MS / 2) return;
    this.#checkedMs = now;
    const { memoryBytes } = this.#limits;
    this.#memoryIsFull = memoryBytes > 0 && this.#residentBytes() > memoryBytes;
    for (const table of [this.#sources, this.#sites]) {
      for (const rate of Object.values(table)) rate.sweep(now);
    }
  }
}

function rates(limits: GuardLimits, factor: number): Rates {
  const make = (rule: RateRule): SourceRate =>
    new SourceRate({ ...rule, count: rule.count * factor }, limits.trackedSources);
  return {
    newConnections: make(limits.newConnections),
    failures: make(limits.failures),
    refusals: make(limits.refusals),
  };
}

function keysOf({ source, site }: SourceNames): string[] {
  return site === null ? [source] : [source, site];
}

function enter(use: Use): void {
  use.open++;
  use.underWay++;
}

function isReached(limit: number, value: number): boolean {
  return limit > 0 && value >= limit;
}

function bySource(what: string): GuardRefusal {
  return { reason: 'source_limit', detail: `too many ${what}` };
}
