/**
 * The policy for admitted clients: the tier of each key, and whether its quota is used up. This file decides;
 * `tiers.ts` has the tiers, `usage.ts` the bytes, and `accounting.ts` stores them on disk. The relay gets plain data:
 * limits with the verdict, and later changes of them.
 */
import { NO_FACTS, type NodeFacts } from '../admission/node-facts.ts';
import { hasQuota, type TierConfig } from '../config/schema/tiers.ts';
import { isSameLimits, type ClientLimits } from '../relay/fairness/client-limits.ts';
import type { Admission, AdmissionRequest, AdmissionVerdict } from '../relay/session/admission.ts';
import type { KeyEnding, KeyLimitsChange } from '../relay/session/sessions.ts';
import type { Tiers } from './tiers.ts';
import type { KeyUsage, Usage } from './usage.ts';

/** Most clients whose limits are updated while they are connected. The one that was admitted first is dropped first. */
const MOST_CLIENTS = 200_000;

/** Facts about a key, for the status page. */
export interface KeyStatus extends KeyUsage, NodeFacts {
  /** The name of its tier; empty when it has none. */
  readonly tier: string;
  /** 0: no limit. */
  readonly dayLimitBytes: number;
  readonly monthLimitBytes: number;
  /** True when its quota is used up. */
  readonly isOverQuota: boolean;
}

export interface ClientPolicyParts {
  readonly admission: Admission & {
    facts(source: string, key: string): NodeFacts | null;
    sourceOf(key: string): string | null;
  };
  readonly usage: Usage;
  /** The relay, which gets the changes. */
  readonly relay: {
    setKeyLimits(changes: readonly KeyLimitsChange[]): void;
    endKeys(endings: readonly KeyEnding[]): unknown;
  };
  /** Called when a key has used up its quota, or has bytes again. */
  readonly quotaChanged: (key: string, tier: string, isOver: boolean) => void;
}

/** A connected key with an admission source. */
export interface ConnectedKey {
  /** 64 hex digits. */
  readonly key: string;
  /** The name of the admission source. */
  readonly source: string;
}

interface Client {
  readonly source: string;
  /** The limits that the relay has; null: the common limits. */
  limits: ClientLimits | null;
  isOver: boolean;
  connections: number;
}

/** Decides about tiers and quotas after the admission sources. */
export class ClientPolicy implements Admission {
  readonly #parts: ClientPolicyParts;
  readonly #clients = new Map<string, Client>();
  /** Rates that an operator has set for keys, in bytes per second; 0: no limit. They override the rates of tiers. */
  readonly #rates = new Map<string, number>();
  #tiers: Tiers;
  #overQuota = 0;

  constructor(tiers: Tiers, parts: ClientPolicyParts) {
    this.#tiers = tiers;
    this.#parts = parts;
  }

  admit(request: AdmissionRequest): AdmissionVerdict | Promise<AdmissionVerdict> {
    const key = request.key.toString('hex');
    const verdict = this.#parts.admission.admit(request);
    return verdict instanceof Promise ? verdict.then((later) => this.#judge(key, later)) : this.#judge(key, verdict);
  }

  /** Applies other tiers, also to connected keys. `connected` has one entry per connection. */
  reload(tiers: Tiers, connected: Iterable<ConnectedKey>): void {
    this.#tiers = tiers;
    this.#followAll(connected);
    this.review();
  }

  /**
   * Sets the rate of a key (64 hex digits) in bytes per second, instead of the rate of its tier. 0: no limit; null: the
   * rate of its tier again. `connected` has one entry per connection.
   */
  setRate(key: string, bytesPerSecond: number | null, connected: Iterable<ConnectedKey>): void {
    if (bytesPerSecond === null) this.#rates.delete(key);
    else this.#rates.set(key, bytesPerSecond);
    const own = [...connected].filter((one) => one.key === key);
    this.#followAll(own);
    this.check([key]);
  }

  #followAll(connected: Iterable<ConnectedKey>): void {
    const counts = new Map<string, number>();
    for (const { key, source } of connected) {
      counts.set(key, (counts.get(key) ?? 0) + 1);
      if (!this.#clients.has(key)) this.#follow(key, source, null);
    }
    for (const [key, count] of counts) this.#clients.get(key)!.connections = count;
  }

  /** Records that a connection of a key has opened. */
  opened(key: string): void {
    const client = this.#clients.get(key);
    if (client !== undefined) client.connections++;
  }

  /** Records that a connection of a key has ended. */
  closed(key: string): void {
    const client = this.#clients.get(key);
    if (client === undefined) return;
    client.connections--;
    this.#forgetUnused(key, client);
  }

  /** Checks all clients again: a source may have other facts about them, or a new day may have begun. */
  review(): void {
    this.check(this.#clients.keys());
  }

  /** Checks some keys whose usage has changed, and sends changes to the relay. */
  check(keys: Iterable<string>): void {
    const changes: KeyLimitsChange[] = [];
    const endings: KeyEnding[] = [];
    for (const key of keys) {
      const client = this.#clients.get(key);
      if (client === undefined) continue;
      const before = client.limits;
      const ending = this.#update(key, client);
      if (ending !== null) endings.push(ending);
      this.#forgetUnused(key, client);
      const { limits } = client;
      if (limits === null || (before !== null && isSameLimits(before, limits))) continue;
      changes.push({ key: Buffer.from(key, 'hex'), limits });
    }
    if (changes.length > 0) this.#parts.relay.setKeyLimits(changes);
    if (endings.length > 0) this.#parts.relay.endKeys(endings);
  }

  /** Returns whether a key has used up its quota, connected or not. Such a key gets no endpoint of the UDP relay. */
  isOverQuota(key: string): boolean {
    const tier = this.#knownTier(key);
    return tier !== null && this.#usedUp(key, tier) !== null;
  }

  /**
   * Returns the rate of a key through the UDP relay in bytes per second, connected or not; 0: no limit. Null when
   * neither its tier nor an operator has set one.
   */
  udpRate(key: string): number | null {
    return this.#rates.get(key) ?? this.#knownTier(key)?.bytesPerSecond ?? null;
  }

  /** Number of keys that have used up their quota. */
  get overQuota(): number {
    return this.#overQuota;
  }

  /** Returns the facts about a key (64 hex digits) that the named admission source admitted. */
  status({ key, source }: ConnectedKey): KeyStatus {
    const facts = this.#factsOf(key, source);
    const tier = this.#tiers.of({ key, source, facts });
    return {
      ...this.#parts.usage.total(key),
      ...facts,
      tier: tier?.name ?? '',
      dayLimitBytes: tier?.bytesPerDay ?? 0,
      monthLimitBytes: tier?.bytesPerMonth ?? 0,
      isOverQuota: tier !== null && this.#usedUp(key, tier) !== null,
    };
  }

  /** Returns how many connections a connected key may have; null: the limit of all keys. */
  connectionLimit(key: string): number | null {
    return this.#clients.get(key)?.limits?.connections ?? null;
  }

  /** Returns the connected keys with a quota, for counts over several relays. */
  *keysWithQuota(): IterableIterator<string> {
    for (const key of this.#clients.keys()) if (this.hasQuota(key)) yield key;
  }

  /** Returns whether a key is connected and has a quota. */
  hasQuota(key: string): boolean {
    const client = this.#clients.get(key);
    const tier = client === undefined ? null : this.#tierOf(key, client.source);
    return tier !== null && hasQuota(tier);
  }

  #judge(key: string, verdict: AdmissionVerdict): AdmissionVerdict {
    // A client without a source is the relay's own test.
    if (!verdict.admitted || verdict.source === undefined) return verdict;
    const { source } = verdict;
    if (this.#tiers.isEmpty && !this.#clients.has(key) && !this.#rates.has(key)) return verdict;
    const client = this.#follow(key, source, this.#clients.get(key) ?? null);
    const ending = this.#update(key, client);
    if (ending !== null) return { admitted: false, source: 'quota', reason: ending.detail, refusal: ending.refusal };
    return client.limits === null ? verdict : { ...verdict, limits: client.limits };
  }

  /**
   * Forgets a client without connections. A key that has used up its quota is remembered while it is disconnected, so
   * that its return is not reported again.
   */
  #forgetUnused(key: string, client: Client): void {
    if (client.connections <= 0 && !client.isOver) this.#clients.delete(key);
  }

  #follow(key: string, source: string, before: Client | null): Client {
    const client = { ...(before ?? { limits: null, isOver: false, connections: 0 }), source };
    this.#clients.delete(key);
    this.#clients.set(key, client);
    if (this.#clients.size > MOST_CLIENTS) {
      const [oldest] = this.#clients;
      if (oldest![1].isOver) this.#overQuota--;
      this.#clients.delete(oldest![0]);
    }
    return client;
  }

  /** Updates the limits of a client. Returns the end of its connections when it is no longer allowed. */
  #update(key: string, client: Client): KeyEnding | null {
    const tier = this.#tierOf(key, client.source);
    const used = tier === null ? null : this.#usedUp(key, tier);
    const wasOver = client.isOver;
    client.isOver = used !== null;
    if (client.isOver !== wasOver) {
      this.#overQuota += client.isOver ? 1 : -1;
      this.#parts.quotaChanged(key, tier?.name ?? '', client.isOver);
    }
    const limits = this.#limitsOf(key, tier, client.isOver);
    // Connections with their own limits do not follow changes of the common ones.
    client.limits = limits ?? (client.limits === null ? null : this.#tiers.common);
    if (used === null || tier?.overQuota !== 'refuse') return null;
    return { key: Buffer.from(key, 'hex'), refusal: 'over_quota', detail: `tier ${tier.name}: ${used}` };
  }

  /** Returns the limits of a key; null: the common limits. */
  #limitsOf(key: string, tier: TierConfig | null, isOver: boolean): ClientLimits | null {
    const limits = tier === null ? null : this.#tiers.limits(tier, isOver);
    const bytesPerSecond = this.#rates.get(key);
    return bytesPerSecond === undefined ? limits : { ...(limits ?? this.#tiers.common), bytesPerSecond };
  }

  /** Returns which quota a key has used up, as text, or null. */
  #usedUp(key: string, tier: TierConfig): string | null {
    if (!hasQuota(tier)) return null;
    const { dayBytes, monthBytes } = this.#parts.usage.total(key);
    const { bytesPerDay, bytesPerMonth } = tier;
    if (bytesPerDay > 0 && dayBytes >= bytesPerDay) return `the ${bytesPerDay} bytes of this day are used up`;
    if (bytesPerMonth > 0 && monthBytes >= bytesPerMonth) return `the ${bytesPerMonth} bytes of this month are used up`;
    return null;
  }

  #factsOf(key: string, source: string): NodeFacts {
    return this.#parts.admission.facts(source, key) ?? NO_FACTS;
  }

  /** Returns the tier of a key, connected or not. */
  #knownTier(key: string): TierConfig | null {
    if (this.#tiers.isEmpty) return null;
    const source = this.#clients.get(key)?.source ?? this.#parts.admission.sourceOf(key);
    return source === null ? null : this.#tierOf(key, source);
  }

  #tierOf(key: string, source: string): TierConfig | null {
    return this.#tiers.of({ key, source, facts: this.#factsOf(key, source) });
  }
}
