import { z } from 'zod';
import { describeFound } from '../problems.ts';
import { key, optionalKey, section } from './fields.ts';
import { entryJsonSchema, readEntry } from './list-entries.ts';
import { choice, integer, text, texts, type Value } from './values.ts';

/** A group of clients, and the limits of each of their keys. */
export interface TierConfig {
  /** Unique; appears in logs, metrics and on the status page. */
  readonly name: string;
  /**
   * A client is of this tier when one of these lists names it. A tier with empty lists takes every client that no
   * earlier tier names.
   */
  readonly sources: readonly string[];
  readonly labels: readonly string[];
  readonly users: readonly string[];
  readonly tags: readonly string[];
  /** `nodekey:` and 64 hex digits each. */
  readonly keys: readonly string[];
  /** Shares of each connection. A connection without a tier has one share. */
  readonly weight: number;
  /** Undefined: as in `fairness.perClient`; 0: no limit. */
  readonly bytesPerSecond?: number | undefined;
  readonly burstBytes?: number | undefined;
  /** Bytes that a key may send in a day and in a month, both of UTC; 0: no limit. */
  readonly bytesPerDay: number;
  readonly bytesPerMonth: number;
  /** Undefined: as in `limits.connectionsPerKey`. */
  readonly connections?: number | undefined;
  /** What happens to a key that has used up its quota. */
  readonly overQuota: 'floor' | 'refuse';
  readonly floorBytesPerSecond: number;
}

const MOST_WEIGHT = 100;
const MOST_TIERS = 32;
const MOST_CONNECTIONS = 1024;
const FLOOR_BYTES_PER_SECOND = 16_384;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.@: -]{0,63}$/;
const PRINTABLE = /^[^\p{Cc}]{1,256}$/u;
const MATCHERS = ['sources', 'labels', 'users', 'tags', 'keys'] as const;
const ALLOWED = `a list of up to ${MOST_TIERS} tiers, each with whom it is for (sources, labels, users, tags, keys), and weight (1 to ${MOST_WEIGHT}) or limits; see docs/fairness.md`;

type Unnamed = Omit<TierConfig, 'name'> & { readonly name?: string | undefined };

const bytes = (): Value<number> => integer(0, Number.MAX_SAFE_INTEGER, 'bytes');

const tierSection: z.ZodType<Unnamed> = section('A tier.', {
  name: optionalKey(text(NAME, 'up to 64 letters, digits and . _ @ : -'), 'Name of the tier in logs and metrics.', {
    computed: 'the first that it names',
  }),
  sources: key(texts(PRINTABLE, 'names of admission sources'), [], 'Admission sources whose clients are of this tier.'),
  labels: key(texts(PRINTABLE, 'labels'), [], 'Labels in files of keys, or names of nodes in the list of a source.'),
  users: key(texts(PRINTABLE, 'login names'), [], 'Owners of nodes, as the admission source names them.'),
  tags: key(texts(PRINTABLE, 'tags such as tag:server'), [], 'Tags of nodes, as the admission source lists them.'),
  keys: key(texts(/^nodekey:[0-9a-f]{64}$/, 'node keys: nodekey: and 64 hex digits'), [], 'Node keys.'),
  weight: key(integer(1, MOST_WEIGHT), 1, 'Shares that each connection has of the total and of the processor.'),
  bytesPerSecond: optionalKey(bytes(), 'Bytes per second that a key may send on average; 0 means no limit.', {
    computed: '`fairness.perClient.bytesPerSecond`',
  }),
  burstBytes: optionalKey(bytes(), 'Bytes that a key may send at once after a pause.', {
    computed: '`fairness.perClient.burstBytes`',
  }),
  bytesPerDay: key(bytes(), 0, 'Bytes that a key may send in a day (UTC); 0 means no limit.'),
  bytesPerMonth: key(bytes(), 0, 'Bytes that a key may send in a calendar month (UTC); 0 means no limit.'),
  connections: optionalKey(integer(1, MOST_CONNECTIONS), 'Connections of a key at the same time.', {
    computed: '`limits.connectionsPerKey`',
  }),
  overQuota: key(
    choice('floor', 'refuse'),
    'floor',
    'What happens to a key that has used up its bytes. floor: it sends at floorBytesPerSecond. refuse: it is disconnected.',
  ),
  floorBytesPerSecond: key(
    integer(1, Number.MAX_SAFE_INTEGER, 'bytes'),
    FLOOR_BYTES_PER_SECOND,
    'Bytes per second that a key may send after its bytes are used up.',
  ),
});

/** The list of tiers; the first that fits a client is its tier. */
export function tierList(): Value<TierConfig[]> {
  const schema = z.unknown().transform((input, context) => {
    const found: TierConfig[] = [];
    const refuse = (message: string, ...path: number[]): void => {
      context.addIssue({ code: 'custom', message, path, params: { combination: true } });
    };
    if (!Array.isArray(input)) {
      refuse(`found ${describeFound(input)}; allowed: ${ALLOWED}`);
      return [];
    }
    if (input.length > MOST_TIERS) refuse(`found ${input.length} tiers; allowed: up to ${MOST_TIERS}`);
    for (const [i, entry] of (input as unknown[]).entries()) {
      const tier = readTier(entry, (message) => refuse(message, i));
      if (tier === null) continue;
      if (found.some(({ name }) => name === tier.name)) {
        refuse(`name: ${tier.name} is taken; give this tier a name of its own`, i);
      }
      const everyone = found.find((other) => MATCHERS.every((matcher) => other[matcher].length === 0));
      if (everyone !== undefined) refuse(`is never used, because ${everyone.name} before it is for everyone`, i);
      found.push(tier);
    }
    return found;
  });
  const items = entryJsonSchema(tierSection, []);
  return { schema: schema.meta({ type: 'array', items }), kind: 'json', allowed: ALLOWED };
}

function readTier(entry: unknown, refuse: (message: string) => void): TierConfig | null {
  if (typeof entry !== 'object' || entry === null) {
    refuse(`found ${describeFound(entry)}; allowed: a tier with ${MATCHERS.join(', ')}, weight or limits`);
    return null;
  }
  const tier = readEntry<Unnamed>(tierSection, entry, refuse);
  if (tier === null) return null;
  const first = MATCHERS.map((matcher) => tier[matcher][0]).find((named) => named !== undefined);
  return { ...tier, name: tier.name ?? first ?? 'everyone' };
}

/** Returns whether a tier limits the bytes of a day or a month. */
export function hasQuota({ bytesPerDay, bytesPerMonth }: TierConfig): boolean {
  return bytesPerDay > 0 || bytesPerMonth > 0;
}
