import type { z } from 'zod';
import { key, section } from './fields.ts';
import { integer, networks } from './values.ts';

/** The limits of one source of connections: an IPv4 address, an IPv6 /64, and with `siteFactor` an IPv6 /48. */
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
  'Limits for each source of connections: an IPv4 address, an IPv6 /64 network and, with a larger limit, an IPv6 /48 network. The relay refuses a source beyond its limits before TLS. With the defaults, hundreds of clients behind one router can reconnect at once.',
  {
    connectionsPer10Seconds: key(integer(0, 10_000_000), 2000, 'New connections within 10 seconds; 0 means no limit.'),
    failuresPerMinute: key(
      integer(0, 10_000_000),
      600,
      'Failed TLS, HTTP and DERP handshakes within a minute; then the source is blocked. 0 means no limit.',
    ),
    refusalsPerMinute: key(
      integer(0, 10_000_000),
      1200,
      'Clients that admission refused within a minute; then the source is blocked. 0 means no limit.',
    ),
    stunPer10Seconds: key(
      integer(0, 10_000_000),
      2000,
      'STUN requests of Tailscale clients within 10 seconds; more get no answer. 0 means no limit.',
    ),
    blockSeconds: key(
      integer(1, 86_400, 'seconds'),
      60,
      'Seconds that a source with too many failures or refusals is blocked. Its open connections stay open.',
    ),
    siteFactor: key(
      integer(1, 65_536),
      8,
      'Factor by which these limits, and the limits per source under `limits`, are larger for an IPv6 /48 network.',
    ),
    tracked: key(
      integer(16, 10_000_000),
      50_000,
      'Largest number of sources that are counted; each needs about 200 bytes of memory per table. Beyond it, the relay forgets one that did little.',
    ),
    exempt: key(
      networks(),
      PRIVATE_NETWORKS,
      'Networks without limits per source. The default is the private networks, because behind a container gateway or a router all clients have the same address.',
    ),
  },
  { flags: false },
);
