import type { RefusalReason } from '../../observe/counters.ts';
import type { GuardRefusal } from './door-guard.ts';
import { SlidingWindow, type RateRule } from './sliding-window.ts';

/** How often one source may do what costs the relay something. */
export interface RateLimits {
  readonly newConnections: RateRule;
  /** Of handshakes: TLS, HTTP and DERP. */
  readonly failures: RateRule;
  /** Of clients that are not admitted. */
  readonly refusals: RateRule;
  /** Factor by which the limits of a site (IPv6 /48) are larger than those of a source. */
  readonly siteFactor: number;
  /** Sources, and sites, that are counted at most. */
  readonly trackedSources: number;
}

/** Refusals that are no fault of who connects: counting them would keep a source out that has waited long enough. */
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
  // One wrong key in the configuration of a relay must not keep its clients out.
  'mesh_key',
  'close_peer',
  // Ended is the oldest, which may come from somewhere else than the newest.
  'key_connections',
  // A person or a budget of the operator ended it; others may have the same address.
  'over_quota',
  'disconnected',
]);

type Rates = Readonly<Record<'newConnections' | 'failures' | 'refusals', SlidingWindow>>;

/**
 * What each source did lately, and each IPv6 site. A source is given as its path, from `sourcePath`: the last name is
 * the source itself, the first one of several is its site.
 */
export class SourceRates {
  readonly #sources: Rates;
  readonly #sites: Rates;

  constructor(limits: RateLimits) {
    this.#sources = rates(limits, 1);
    this.#sites = rates(limits, limits.siteFactor);
  }

  /** Why this source may not connect now, or null. `now`: milliseconds of the clock. */
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

  /** Counts a failure or a refusal, if it may be the fault of who connects. */
  misbehaved(path: readonly string[], reason: RefusalReason, now: number): void {
    if (!OWN_REASONS.has(reason)) this.#count(reason === 'not_admitted' ? 'refusals' : 'failures', path, now);
  }

  /** Forgets a part of what is too old to count. */
  sweep(now: number): void {
    for (const table of [this.#sources, this.#sites]) {
      for (const rate of Object.values(table)) rate.sweep(now);
    }
  }

  #count(what: keyof Rates, path: readonly string[], now: number): void {
    this.#sources[what].count(path[path.length - 1]!, now);
    if (path.length > 1) this.#sites[what].count(path[0]!, now);
  }
}

/** The refusal of a source that has, or does, too much of `what`. */
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
