import type { z } from 'zod';
import { key, section } from './fields.ts';
import { integer, networks } from './values.ts';

/** What one source of connections may do: an IPv4 address, an IPv6 /64, and with `siteFactor` an IPv6 /48. */
export interface SourcesConfig {
  /** 0: no limit, as for the other counts. */
  readonly connectionsPer10Seconds: number;
  readonly failuresPerMinute: number;
  readonly refusalsPerMinute: number;
  readonly stunPer10Seconds: number;
  readonly blockSeconds: number;
  readonly siteFactor: number;
  readonly tracked: number;
  /** Networks as canonical text. */
  readonly exempt: readonly string[];
}

/**
 * Loopback, private and link-local networks: gateways of containers and home routers, behind which all clients look
 * like one.
 */
const PRIVATE_NETWORKS = [
  '127.0.0.0/8',
  '::1/128',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '169.254.0.0/16',
  'fc00::/7',
  'fe80::/10',
];

export const sources: z.ZodType<SourcesConfig> = section(
  'What one source of connections may do before it is refused, before TLS: an IPv4 address, an IPv6 /64 network, and, with a larger limit, an IPv6 /48 network. The defaults let hundreds of clients behind one router reconnect at once.',
  {
    connectionsPer10Seconds: key(integer(0, 10_000_000), 2000, 'New connections within 10 seconds; 0 is no limit.'),
    failuresPerMinute: key(
      integer(0, 10_000_000),
      600,
      'Failed TLS, HTTP and DERP handshakes within a minute, after which the source is blocked; 0 is no limit.',
    ),
    refusalsPerMinute: key(
      integer(0, 10_000_000),
      1200,
      'Clients within a minute that admission refused, after which the source is blocked; 0 is no limit.',
    ),
    stunPer10Seconds: key(
      integer(0, 10_000_000),
      2000,
      'STUN requests of Tailscale clients within 10 seconds, beyond which they get no answer; 0 is no limit.',
    ),
    blockSeconds: key(
      integer(1, 86_400, 'seconds'),
      60,
      'Seconds for which a source with too many failures or refusals cannot connect; open connections live on.',
    ),
    siteFactor: key(
      integer(1, 65_536),
      8,
      'How many times these limits, and those per source under `limits`, an IPv6 /48 network has.',
    ),
    tracked: key(
      integer(16, 10_000_000),
      50_000,
      'Sources whose rates are counted, each for some 200 bytes of memory in each of the tables. Beyond that, one that did little is forgotten for a new one.',
    ),
    exempt: key(
      networks(),
      PRIVATE_NETWORKS,
      'Networks that no limit by source applies to; by default the private ones, as container gateways and routers make all clients look like one.',
    ),
  },
  { flags: false },
);
