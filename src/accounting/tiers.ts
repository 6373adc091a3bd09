import type { NodeFacts } from '../admission/node-facts.ts';
import type { FairnessConfig } from '../config/schema/fairness.ts';
import type { TierConfig } from '../config/schema/tiers.ts';
import { MIN_BURST_BYTES } from '../relay/fairness/byte-bucket.ts';
import type { ClientLimits } from '../relay/fairness/client-limits.ts';

/** A client, as its tier is found. */
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

/** The tiers of the configuration: which one a client is of, and what its keys may do. */
export class Tiers {
  readonly #matchers: readonly Matcher[];
  readonly #perClient: FairnessConfig['perClient'];
  readonly #connectionsPerKey: number;

  constructor({ tiers, perClient }: FairnessConfig, connectionsPerKey: number) {
    this.#matchers = tiers.map(matcherOf);
    this.#perClient = perClient;
    this.#connectionsPerKey = connectionsPerKey;
  }

  /** There are none: all keys have the common limits. */
  get isEmpty(): boolean {
    return this.#matchers.length === 0;
  }

  /** The tier of a client: the first that names it; null when none does. */
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

  /** What a key of no tier may do. */
  get common(): ClientLimits {
    return { tier: '', ...this.#perClient, weight: 1, connections: this.#connectionsPerKey };
  }

  /** What a key of `tier` may do; `isOver`: it has used up its bytes and is held at the floor. */
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

/** The lower of two rates, of which the first may be 0: no limit. */
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
