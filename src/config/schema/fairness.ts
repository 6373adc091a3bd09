import { z } from 'zod';
import { key, section } from './fields.ts';
import { integer, type Value } from './values.ts';

/** A bucket must hold at least one largest packet with its address (§4.8). */
const LEAST_BURST_BYTES = 65_568;
const MOST_WEIGHT = 100;
const MOST_TIERS = 32;

/** Connections that count for more than others when something is shared. */
interface TierConfig {
  /** The names of the admission sources whose clients are of this tier. */
  readonly sources: readonly string[];
  /** How many shares each of its connections has; those without a tier have one. */
  readonly weight: number;
}

/** How a greedy client is held back. */
export interface FairnessConfig {
  readonly perClient: {
    /** 0: no limit. */
    readonly bytesPerSecond: number;
    /** At least 65568. */
    readonly burstBytes: number;
  };
  /** 0: no limit. */
  readonly totalBytesPerSecond: number;
  readonly tiers: readonly TierConfig[];
}

export const fairness: z.ZodType<FairnessConfig> = section(
  'Limits on what clients send. The relay reads from a client that exceeds them more slowly; it drops nothing.',
  {
    perClient: section(
      'Limit for what each node key sends to the relay, over all its connections together.',
      {
        bytesPerSecond: key(
          integer(0, Number.MAX_SAFE_INTEGER, 'bytes'),
          0,
          'Bytes per second that one node key may send on average, including frame headers; 0 means no limit.',
        ),
        burstBytes: key(
          integer(0, Number.MAX_SAFE_INTEGER, 'bytes'),
          LEAST_BURST_BYTES,
          `Bytes that one node key may send at once after a pause. The relay uses at least ${LEAST_BURST_BYTES}.`,
        ),
      },
      { complete: (values) => ({ ...values, burstBytes: Math.max(values.burstBytes, LEAST_BURST_BYTES) }) },
    ),
    totalBytesPerSecond: key(
      integer(0, Number.MAX_SAFE_INTEGER, 'bytes'),
      0,
      'Bytes per second that the relay reads from all clients together, shared fairly among those that send; 0 means no limit.',
    ),
    tiers: key(
      tierList(),
      [],
      'Clients that get more than one share of the bandwidth and of the processor, by the admission source that admitted them.',
      { flag: false },
    ),
  },
);

function tierList(): Value<TierConfig[]> {
  const name = z.string().min(1);
  const tier = z.strictObject({
    sources: z.union([name.transform((only) => [only]), z.array(name).min(1)]),
    weight: z.int().min(1).max(MOST_WEIGHT),
  });
  return {
    schema: z.array(tier).max(MOST_TIERS),
    kind: 'json',
    allowed: `a list of up to ${MOST_TIERS} tiers, each with sources (names of admission sources) and weight (1 to ${MOST_WEIGHT})`,
  };
}
