import { ipFamily, parseIp } from '../base/ip-address.ts';
import { canonicalPrefix, PrefixSet } from '../base/ip-prefix.ts';
import { AddressRanges } from './address-ranges.ts';
import type { FilterRule } from './map-response.ts';

/** The name of the filter that the older member `PacketFilter` sets. */
const BASE = 'base';
/** In `PacketFilters`, null under this name clears all filters first. */
const ALL = '*';

interface CapabilityRule {
  readonly sources: AddressRanges;
  readonly destinations: PrefixSet;
}

/** The result of a grant check, as clients would decide. */
export type GrantJudgement =
  /** It has the capability. */
  | 'granted'
  /** Some pair of addresses is granted, but not the pair that clients use. */
  | 'other-family-only'
  | 'none';

/** The facts about a peer for a grant check. */
export interface GrantSubject {
  /** Single addresses, canonical text, in the order of the network map. */
  readonly addresses: readonly string[];
  readonly isUnsignedPeerApiOnly: boolean;
}

/**
 * The rules of a tailnet's packet filter about one application capability (peer-relay reference §15.3, addendum E1 and
 * §6). Other rules are ignored.
 */
export class PacketFilter {
  readonly #capability: string;
  readonly #named = new Map<string, readonly CapabilityRule[]>();

  /** `capability`: such as `tailscale.com/cap/relay`. */
  constructor(capability: string) {
    this.#capability = capability;
  }

  /** Replaces the base filter. */
  setBase(rules: readonly FilterRule[]): void {
    this.#named.set(BASE, this.#compile(rules));
  }

  /** Replaces the named filters. Null removes one, and `*` with null removes all of them first. */
  update(filters: Readonly<Record<string, readonly FilterRule[] | null>>): void {
    if (ALL in filters && filters[ALL] === null) this.#named.clear();
    for (const [name, rules] of Object.entries(filters)) {
      if (rules === null) this.#named.delete(name);
      else this.#named.set(name, this.#compile(rules));
    }
  }

  /**
   * Returns whether `subject` has the capability on a node with the addresses `destinations`. As in clients, only its
   * first address of a family that the node also has counts, against the node's first address of that family.
   */
  judge(subject: GrantSubject, destinations: readonly string[]): GrantJudgement {
    if (subject.isUnsignedPeerApiOnly) return 'none';
    let isDecided = false;
    let isGranted = false;
    for (const source of subject.addresses) {
      const family = ipFamily(source);
      const destination = destinations.find((ip) => ipFamily(ip) === family);
      if (destination === undefined) continue;
      const holds = this.#grants(source, destination);
      if (!isDecided && holds) return 'granted';
      isDecided = true;
      isGranted ||= holds;
    }
    return isGranted ? 'other-family-only' : 'none';
  }

  #grants(source: string, destination: string): boolean {
    const from = parseIp(source);
    if (from === null) return false;
    for (const rules of this.#named.values()) {
      for (const rule of rules) if (rule.destinations.has(destination) && rule.sources.has(from)) return true;
    }
    return false;
  }

  #compile(rules: readonly FilterRule[]): CapabilityRule[] {
    const compiled: CapabilityRule[] = [];
    for (const { SrcIPs, CapGrant } of rules) {
      let sources: AddressRanges | null = null;
      for (const { Dsts, Caps, CapMap } of CapGrant ?? []) {
        const isOurs = Caps?.includes(this.#capability) === true || Object.hasOwn(CapMap ?? {}, this.#capability);
        if (!isOurs) continue;
        sources ??= new AddressRanges(SrcIPs ?? []);
        const prefixes = (Dsts ?? []).map(canonicalPrefix).filter((prefix) => prefix !== null);
        compiled.push({ sources, destinations: new PrefixSet(prefixes) });
      }
    }
    return compiled;
  }
}
