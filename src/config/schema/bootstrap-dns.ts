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
  'Names that `/bootstrap-dns` resolves for clients without working DNS, such as the name of a Headscale server.',
  {
    published: key(hostNames(), [], 'DNS names that every answer lists with their addresses.'),
    unpublished: key(
      texts(NAME_AND_TXT, 'entries name or name/txtname'),
      [],
      'DNS names that are answered only to who asks for one; the TXT record of txtname holds the percentage of clients that get it.',
    ),
    refreshSeconds: key(integer(10, 86_400, 'seconds'), 600, 'Seconds between two resolutions of all names.'),
  },
);
