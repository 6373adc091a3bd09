import type { z } from 'zod';
import { key, section } from './fields.ts';
import { choice } from './values.ts';

/** What is logged, and how. */
export interface LogConfig {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
  readonly format: 'auto' | 'json' | 'pretty';
}

export const log: z.ZodType<LogConfig> = section('The log goes to standard error.', {
  level: key(
    choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    'info',
    'The least important kind of line that is written.',
  ),
  format: key(
    choice('auto', 'json', 'pretty'),
    'auto',
    'json is one object per line, pretty is one readable line; auto is pretty on a terminal and json elsewhere.',
  ),
});
