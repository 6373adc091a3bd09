import type { z } from 'zod';
import { key, section } from './fields.ts';
import { tierList, type TierConfig } from './tiers.ts';
import { integer } from './values.ts';

/** A bucket must hold at least one largest packet with its address (§4.8). */
const LEAST_BURST_BYTES = 65_568;

/** Limits for the rate of each client and of all together. */
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
      'Clients that have other limits than the rest: by admission source, label, user, tag or key. The first tier that fits counts.',
      { flag: false },
    ),
  },
);
