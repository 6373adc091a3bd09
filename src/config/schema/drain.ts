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
  'How the relay stops: it tells clients to reconnect, sends what is queued, then closes the connections.',
  {
    seconds: key(
      integer(0, 3600, 'seconds'),
      3,
      'Seconds to wait for the clients before the relay closes their connections; 0 closes them at once.',
    ),
    reconnectMinMs: key(
      integer(0, 3_600_000, 'milliseconds'),
      500,
      'Shortest time in milliseconds after which a client shall reconnect; the relay chooses a random time for each client.',
    ),
    reconnectMaxMs: key(
      integer(0, 3_600_000, 'milliseconds'),
      5000,
      'Longest time in milliseconds after which a client shall reconnect.',
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
