import type { RefusalReason } from '../../observe/counters.ts';
import type { GuardRefusal } from './door-guard.ts';
import { SlidingWindow, type RateRule } from './sliding-window.ts';

/** Rate limits by source. */
export interface RateLimits {
  readonly newConnections: RateRule;
  /** Failed handshakes: TLS, HTTP and DERP. */
  readonly failures: RateRule;
  /** Refused clients. */
  readonly refusals: RateRule;
  /** Factor by which the limits of a site (IPv6 /48) are larger than those of a source. */
  readonly siteFactor: number;
  /** Largest number of sources, and of sites, that are counted. */
  readonly trackedSources: number;
}

/**
 * Refusals that are not the fault of the client. They do not count, or a source that has waited long enough would stay
 * refused.
 */
const OWN_REASONS: ReadonlySet<RefusalReason> = new Set<RefusalReason>([
  'source_limit',
  'connection_limit',
  'descriptor_limit',
  'handshake_limit',
  'memory_limit',
  'listener_error',
  'admin_access',
  'proxy_header',
  'untrusted_proxy',
  'write_timeout',
  'control_queue_full',
  // A wrong mesh key in another relay's configuration must not lock out its clients.
  'mesh_key',
  'close_peer',
  // The oldest connection is ended, which may come from another address than the newest.
  'key_connections',
  // An operator or a quota ended it; other clients may have the same address.
  'over_quota',
  'disconnected',
]);

/** The events of a source that are counted. */
const SOURCE_EVENTS = ['newConnections', 'failures', 'refusals'] as const;
type Rates = Readonly<Record<(typeof SOURCE_EVENTS)[number], SlidingWindow>>;

/** Receives an event of a source, which is given as its path. `event` is the number that {@link SourceRates.countElsewhere} takes. */
export type SourceEventListener = (event: number, path: readonly string[]) => void;

/**
 * Recent events of each source and each IPv6 site. A source is given as a path from `sourcePath`: the last name is the
 * source itself, and the first of several is its site.
 */
export class SourceRates {
  /** Tells the other threads what is counted here; null when this one is alone. */
  listener: SourceEventListener | null = null;
  readonly #sources: Rates;
  readonly #sites: Rates;

  constructor(limits: RateLimits) {
    this.#sources = rates(limits, 1);
    this.#sites = rates(limits, limits.siteFactor);
  }

  /** Returns why this source may not connect now, or null. `now`: milliseconds of the clock. */
  refusalOfSource(path: readonly string[], now: number): GuardRefusal | null {
    return refusal(this.#sources, path[path.length - 1]!, 'this source', now);
  }

  /** The same for its site. */
  refusalOfSite(path: readonly string[], now: number): GuardRefusal | null {
    return refusal(this.#sites, path[0]!, path[0]!, now);
  }

  /** Counts a new connection. */
  connected(path: readonly string[], now: number): void {
    this.#count('newConnections', path, now);
  }

  /** Counts a failure or a refusal, if it may be the client's fault. */
  misbehaved(path: readonly string[], reason: RefusalReason, now: number): void {
    if (!OWN_REASONS.has(reason)) this.#count(reason === 'not_admitted' ? 'refusals' : 'failures', path, now);
  }

  /** Counts an event of another thread, with the arguments that the listener there received. */
  countElsewhere(event: number, path: readonly string[], now: number): void {
    const what = SOURCE_EVENTS[event];
    if (what !== undefined && path.length > 0) this.#add(what, path, now);
  }

  /** Removes a part of the entries that are too old to count. */
  sweep(now: number): void {
    for (const table of [this.#sources, this.#sites]) {
      for (const rate of Object.values(table)) rate.sweep(now);
    }
  }

  #count(what: keyof Rates, path: readonly string[], now: number): void {
    this.listener?.(SOURCE_EVENTS.indexOf(what), path);
    this.#add(what, path, now);
  }

  #add(what: keyof Rates, path: readonly string[], now: number): void {
    this.#sources[what].count(path[path.length - 1]!, now);
    if (path.length > 1) this.#sites[what].count(path[0]!, now);
  }
}

/** Returns the refusal of a source with too many of `what`. */
export function bySource(what: string): GuardRefusal {
  return { reason: 'source_limit', detail: `too many ${what}` };
}

function refusal(
  { newConnections, failures, refusals }: Rates,
  key: string,
  who: string,
  now: number,
): GuardRefusal | null {
  if (newConnections.isFull(key, now)) return bySource(`new connections from ${who}`);
  if (failures.isFull(key, now)) return bySource(`failed handshakes from ${who}`);
  if (refusals.isFull(key, now)) return bySource(`refused clients from ${who}`);
  return null;
}

function rates(limits: RateLimits, factor: number): Rates {
  const make = (rule: RateRule): SlidingWindow =>
    new SlidingWindow({ ...rule, count: rule.count * factor }, limits.trackedSources);
  return {
    newConnections: make(limits.newConnections),
    failures: make(limits.failures),
    refusals: make(limits.refusals),
  };
}
