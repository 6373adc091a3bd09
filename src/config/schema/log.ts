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
    'Lowest level that is logged.',
  ),
  format: key(
    choice('auto', 'json', 'pretty'),
    'auto',
    'Format of the log. json: one JSON object per line. pretty: one line of text. auto: pretty on a terminal, else json.',
  ),
});
