import type { z } from 'zod';
import { key, section } from './fields.ts';
import { choice, integer, networks, toggle } from './values.ts';

/** Reverse proxies and load balancers in front of the relay. */
export interface ProxyConfig {
  /** Whether connections from trusted proxies start with a PROXY header. */
  readonly protocol: boolean;
  /** Networks as canonical text. */
  readonly trusted: readonly string[];
  readonly headerMs: number;
  readonly header: 'x-forwarded-for' | 'forwarded';
}

export const proxy: z.ZodType<ProxyConfig> = section(
  'A reverse proxy or load balancer in front of the relay, and how it tells the relay the address of the client. Examples: docs/behind-a-proxy.md.',
  {
    protocol: key(
      toggle(),
      false,
      'Connections from `trusted` start with a PROXY protocol header, version 1 or 2, before TLS.',
    ),
    trusted: key(
      networks(),
      ['127.0.0.0/8', '::1/128'],
      'Networks of the proxies whose PROXY header or `header` the relay believes. With `transport: plain`, only they can connect.',
    ),
    headerMs: key(
      integer(100, 60_000, 'milliseconds'),
      3000,
      'Milliseconds within which the PROXY header must arrive after a proxy has connected.',
    ),
    header: key(
      choice('x-forwarded-for', 'forwarded'),
      'x-forwarded-for',
      'HTTP header in which a proxy from `trusted` names its client, with and without TLS. Not used with `protocol`.',
    ),
  },
  { flags: false },
);
