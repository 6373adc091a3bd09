import type { z } from 'zod';
import { key, section } from './fields.ts';
import { integer } from './values.ts';

/** How the relay ends. */
export interface DrainConfig {
  readonly seconds: number;
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
}

export const drain: z.ZodType<DrainConfig> = section(
  'How the relay ends: clients are told to come back, what is queued is sent, then connections close.',
  {
    seconds: key(
      integer(0, 3600, 'seconds'),
      3,
      'Seconds that are given to the clients before their connections are closed; 0 closes at once.',
    ),
    reconnectMinMs: key(
      integer(0, 3_600_000, 'milliseconds'),
      500,
      'The shortest time, in milliseconds, after which a client is asked to reconnect; each is given a time at random.',
    ),
    reconnectMaxMs: key(
      integer(0, 3_600_000, 'milliseconds'),
      5000,
      'The longest time, in milliseconds, after which a client is asked to reconnect.',
    ),
  },
  {
    check: ({ reconnectMinMs, reconnectMaxMs }, refuse) => {
      if (reconnectMinMs > reconnectMaxMs) {
        refuse(
          'reconnectMinMs',
          `found ${reconnectMinMs}; allowed: at most reconnectMaxMs, which is ${reconnectMaxMs}`,
        );
      }
    },
  },
);
