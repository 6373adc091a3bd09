import type { z } from 'zod';
import { key, optionalKey, section } from './fields.ts';
import { addressesOrOff, integer, toggle, type ListenAddress } from './values.ts';

/** The STUN listener, which tells clients their addresses over UDP. */
export interface StunConfig {
  /** Empty: off. */
  readonly listen: readonly ListenAddress[];
  readonly advertisedPort?: number | undefined;
  readonly generic: boolean;
  readonly genericAnswersPerSecond: number;
}

export const stun: z.ZodType<StunConfig> = section(
  'STUN tells clients their public address. `stun: off` and `stun: "[::]:3478"` are short for `stun.listen`.',
  {
    listen: key(addressesOrOff(), '[::]:3478', 'UDP addresses on which the relay answers STUN requests, or off.', {
      flag: 'stun',
    }),
    advertisedPort: optionalKey(
      integer(1, 65_535),
      'UDP port for STUN in the DERP map. Set it when a firewall or NAT forwards a different port to the relay.',
    ),
    generic: key(
      toggle(),
      false,
      'Answer all STUN clients, not only those of Tailscale. Others can then use the port for reflection attacks, so the relay limits the answers.',
    ),
    genericAnswersPerSecond: key(
      integer(1, 1_000_000),
      50,
      'Largest number of answers per second to one address that is not a Tailscale client.',
    ),
  },
  { shorthand: 'listen' },
);
