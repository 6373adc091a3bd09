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
  'The page that a browser sees at `/`.',
  {
    mode: key(
      choice('neutral', 'blank', 'full', 'redirect', 'file'),
      'neutral',
      'What is shown: neutral is a page that names no product, blank is empty, full says what this server is, redirect sends to `url`, file shows `file`.',
    ),
    url: optionalKey(webAddress('https', 'http'), 'Where mode redirect sends browsers.'),
    file: optionalKey(filePath(), 'HTML file that mode file shows.'),
  },
  {
    check: ({ mode, url, file }, refuse) => {
      if (mode === 'redirect' && url === undefined) refuse('url', 'is missing: mode redirect needs it');
      if (mode !== 'redirect' && url !== undefined)
        refuse('url', `is of no use with mode ${mode}; allowed: mode redirect`);
      if (mode === 'file' && file === undefined) refuse('file', 'is missing: mode file needs it');
      if (mode !== 'file' && file !== undefined) refuse('file', `is of no use with mode ${mode}; allowed: mode file`);
    },
  },
);
