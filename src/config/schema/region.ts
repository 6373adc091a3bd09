import type { z } from 'zod';
import { key, optionalKey, section } from './fields.ts';
import { integer, text } from './values.ts';

/** The relay's entry in a DERP map. */
export interface RegionConfig {
  readonly id: number;
  readonly code: string;
  readonly name: string;
  readonly nodeName: string;
}

const WORD = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

export const region: z.ZodType<RegionConfig> = section(
  "The relay's entry in the DERP map (`towpath derp-map`).",
  {
    id: key(integer(1, 65_535), 900, 'Region number. Tailscale does not use 900 to 999.'),
    code: key(text(WORD, 'a word of letters, digits, dots and dashes'), 'towpath', 'Short name of the region.'),
    name: key(text(/^.{1,100}$/s, 'text of at most 100 characters'), 'towpath', 'Name of the region that users see.'),
    nodeName: optionalKey(
      text(WORD, 'a word of letters, digits, dots and dashes'),
      'Name of this relay, unique in the whole DERP map.',
      { computed: 'the region id and the letter a, such as 900a' },
    ),
  },
  { complete: (values): RegionConfig => ({ ...values, nodeName: values.nodeName ?? `${values.id}a` }) },
);
