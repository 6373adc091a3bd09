import type { z } from 'zod';
import { key, optionalKey, section } from './fields.ts';
import { choice, filePath, webAddress } from './values.ts';

/** What `GET /` answers. */
export interface HomeConfig {
  readonly mode: 'neutral' | 'blank' | 'full' | 'redirect' | 'file';
  /** Always present in mode `redirect`. */
  readonly url?: string | undefined;
  /** Always present in mode `file`. */
  readonly file?: string | undefined;
}

export const home: z.ZodType<HomeConfig> = section(
  'The page at `/`.',
  {
    mode: key(
      choice('neutral', 'blank', 'full', 'redirect', 'file'),
      'neutral',
      'What the page shows. neutral: a page that does not name the product. blank: an empty page. full: what this server is. redirect: a redirect to `url`. file: the content of `file`.',
    ),
    url: optionalKey(webAddress('https', 'http'), 'Target URL for mode redirect.'),
    file: optionalKey(filePath(), 'HTML file for mode file.'),
  },
  {
    check: ({ mode, url, file }, refuse) => {
      if (mode === 'redirect' && url === undefined) refuse('url', 'is missing: mode redirect needs it');
      if (mode !== 'redirect' && url !== undefined)
        refuse('url', `cannot be used with mode ${mode}; allowed: mode redirect`);
      if (mode === 'file' && file === undefined) refuse('file', 'is missing: mode file needs it');
      if (mode !== 'file' && file !== undefined) refuse('file', `cannot be used with mode ${mode}; allowed: mode file`);
    },
  },
);
