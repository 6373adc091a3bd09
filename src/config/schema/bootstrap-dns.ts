import type { z } from 'zod';
import { key, section } from './fields.ts';
import { hostNames, integer, texts } from './values.ts';

/** Names that clients without working DNS may ask for. */
export interface BootstrapDnsConfig {
  readonly published: readonly string[];
  /** `name` or `name/txtname`. */
  readonly unpublished: readonly string[];
  readonly refreshSeconds: number;
}

const NAME_AND_TXT = /^[a-z0-9_][a-z0-9._-]{0,252}(?:\/[a-z0-9_][a-z0-9._-]{0,252})?$/i;

export const bootstrapDns: z.ZodType<BootstrapDnsConfig> = section(
  'DNS names that `/bootstrap-dns` resolves for clients whose DNS does not work, such as the name of a Headscale server.',
  {
    published: key(hostNames(), [], 'DNS names whose addresses are in every answer.'),
    unpublished: key(
      texts(NAME_AND_TXT, 'entries name or name/txtname'),
      [],
      'DNS names whose addresses are only in the answer to a query for that name. The TXT record of txtname holds the percentage of clients that get them.',
    ),
    refreshSeconds: key(integer(10, 86_400, 'seconds'), 600, 'Seconds between DNS lookups of all names.'),
  },
);
