import type { z } from 'zod';
import { key, section } from './fields.ts';
import { integer } from './values.ts';

/** A bucket must hold at least one largest packet with its address (derp-protocol.md §4.8). */
const LEAST_BURST_BYTES = 65_568;

/** How a greedy client is held back. */
export interface FairnessConfig {
  readonly perClient: {
    /** 0: no limit. */
    readonly bytesPerSecond: number;
    /** At least 65568. */
    readonly burstBytes: number;
  };
}

export const fairness: z.ZodType<FairnessConfig> = section(
  'How a greedy client is held back: the relay reads it more slowly, nothing is thrown away.',
  {
    perClient: section(
      'The limit of each connection, in the direction towards the relay.',
      {
        bytesPerSecond: key(
          integer(0, Number.MAX_SAFE_INTEGER, 'bytes'),
          0,
          'Bytes per second that one connection may send in the long run; 0 is no limit.',
        ),
        burstBytes: key(
          integer(0, Number.MAX_SAFE_INTEGER, 'bytes'),
          LEAST_BURST_BYTES,
          `Bytes that one connection may send at once after a pause; less than ${LEAST_BURST_BYTES} is raised to that.`,
        ),
      },
      { complete: (values) => ({ ...values, burstBytes: Math.max(values.burstBytes, LEAST_BURST_BYTES) }) },
    ),
  },
);
