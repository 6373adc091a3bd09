import type { z } from 'zod';
import { key, section } from './fields.ts';
import { integer } from './values.ts';

/** How the relay closes the connections of clients before it ends. */
export interface DrainConfig {
  readonly seconds: number;
  readonly closesPerSecond: number;
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
}

export const drain: z.ZodType<DrainConfig> = section(
  'How the relay stops: it tells clients to reconnect, sends what is queued, then closes the connections.',
  {
    seconds: key(
      integer(0, 3600, 'seconds'),
      3,
      'Longest time in seconds over which the relay closes the connections; 0 closes them at once.',
    ),
    closesPerSecond: key(
      integer(0, 1_000_000, 'connections'),
      2000,
      'How many connections the relay closes per second, so that few are closed in less than drain.seconds: a client that has left does not reach one that is still here. 0 spreads them over drain.seconds, however few they are.',
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
