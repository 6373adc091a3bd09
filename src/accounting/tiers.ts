import type { NodeFacts } from '../admission/node-facts.ts';
import type { FairnessConfig } from '../config/schema/fairness.ts';
import type { TierConfig } from '../config/schema/tiers.ts';
import { MIN_BURST_BYTES } from '../relay/fairness/byte-bucket.ts';
import type { ClientLimits } from '../relay/fairness/client-limits.ts';

/** The facts about a client that decide its tier. */
export interface TieredClient {
  /** The node key as 64 hex digits. */
  readonly key: string;
  /** The name of the admission source that admitted it. */
  readonly source: string;
  readonly facts: NodeFacts;
}

/** The lists of a tier, for looking up. */
interface Matcher {
  readonly config: TierConfig;
  readonly isForEveryone: boolean;
  readonly sources: ReadonlySet<string>;
  readonly labels: ReadonlySet<string>;
  readonly users: ReadonlySet<string>;
  readonly tags: ReadonlySet<string>;
  readonly keys: ReadonlySet<string>;
}

/** The tiers of the configuration: the tier of each client, and the limits of its keys. */
export class Tiers {
  readonly #matchers: readonly Matcher[];
  readonly #perClient: FairnessConfig['perClient'];
  readonly #connectionsPerKey: number;

  constructor({ tiers, perClient }: FairnessConfig, connectionsPerKey: number) {
    this.#matchers = tiers.map(matcherOf);
    this.#perClient = perClient;
    this.#connectionsPerKey = connectionsPerKey;
  }

  /** True without tiers: all keys have the common limits. */
  get isEmpty(): boolean {
    return this.#matchers.length === 0;
  }

  /** Returns the tier of a client: the first that matches it, or null. */
  of({ key, source, facts }: TieredClient): TierConfig | null {
    const found = this.#matchers.find(
      (matcher) =>
        matcher.isForEveryone ||
        matcher.sources.has(source) ||
        matcher.keys.has(key) ||
        (facts.label !== '' && matcher.labels.has(facts.label)) ||
        (facts.user !== '' && matcher.users.has(facts.user)) ||
        facts.tags.some((tag) => matcher.tags.has(tag)),
    );
    return found?.config ?? null;
  }

  /** The limits of keys without a tier. */
  get common(): ClientLimits {
    return { tier: '', ...this.#perClient, weight: 1, connections: this.#connectionsPerKey };
  }

  /** Returns the limits of a key in `tier`. `isOver`: it has used up its quota, and gets the floor rate. */
  limits(tier: TierConfig, isOver: boolean): ClientLimits {
    const bytesPerSecond = tier.bytesPerSecond ?? this.#perClient.bytesPerSecond;
    return {
      tier: tier.name,
      bytesPerSecond: isOver ? lower(bytesPerSecond, tier.floorBytesPerSecond) : bytesPerSecond,
      burstBytes: isOver ? MIN_BURST_BYTES : Math.max(tier.burstBytes ?? this.#perClient.burstBytes, MIN_BURST_BYTES),
      weight: tier.weight,
      connections: tier.connections ?? this.#connectionsPerKey,
    };
  }
}

/** Returns the lower of two rates. The first may be 0, which means no limit. */
function lower(rate: number, floor: number): number {
  return rate === 0 ? floor : Math.min(rate, floor);
}

function matcherOf(config: TierConfig): Matcher {
  const { sources, labels, users, tags, keys } = config;
  return {
    config,
    isForEveryone: [sources, labels, users, tags, keys].every((list) => list.length === 0),
    sources: new Set(sources),
    labels: new Set(labels),
    users: new Set(users),
    tags: new Set(tags),
    keys: new Set(keys.map((key) => key.slice('nodekey:'.length))),
  };
}
