import { z } from 'zod';
import type { Value } from './values.ts';

/** Most relay threads. More would use memory without a gain. */
const MOST_THREADS = 32;

/** The number of relay threads; auto: it follows from the cores of the machine. */
export type ThreadsConfig = number | 'auto';

/** A number of relay threads, or auto. */
export function threads(): Value<ThreadsConfig> {
  const schema = z.union([z.string(), z.number()]).transform((input, context): ThreadsConfig => {
    if (input === 'auto') return input;
    const count = typeof input === 'string' && /^\d{1,3}$/.test(input) ? Number(input) : input;
    if (typeof count === 'number' && Number.isInteger(count) && count >= 1 && count <= MOST_THREADS) return count;
    context.addIssue({ code: 'custom' });
    return z.NEVER;
  });
  return { schema, kind: 'text', allowed: `auto, or a whole number from 1 to ${MOST_THREADS}` };
}
