import type { z } from 'zod';
import { key, optionalKey, section } from './fields.ts';
import { addressesOrOff, integer, toggle, type ListenAddress } from './values.ts';

/** Answers to "what is my address", over UDP. */
export interface StunConfig {
  /** Empty: off. */
  readonly listen: readonly ListenAddress[];
  readonly advertisedPort?: number | undefined;
  readonly generic: boolean;
  readonly genericAnswersPerSecond: number;
}

export const stun: z.ZodType<StunConfig> = section(
  'STUN tells clients the address they are seen with. `stun: off` and `stun: "[::]:3478"` are short for `stun.listen`.',
  {
    listen: key(addressesOrOff(), '[::]:3478', 'UDP addresses that answer STUN, or off.', { flag: 'stun' }),
    advertisedPort: optionalKey(
      integer(1, 65_535),
      'UDP port that clients are told, when a firewall or NAT makes it differ from the one listened on.',
    ),
    generic: key(
      toggle(),
      false,
      'Answer ordinary STUN clients too, not only those of Tailscale. Opens the port to reflection, so answers are limited.',
    ),
    genericAnswersPerSecond: key(
      integer(1, 1_000_000),
      50,
      'Answers per second that one source address gets when it is an ordinary STUN client.',
    ),
  },
  { shorthand: 'listen' },
);
