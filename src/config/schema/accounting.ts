import type { z } from 'zod';
import { key, optionalKey, section } from './fields.ts';
import { filePath, integer, toggle } from './values.ts';

/** Traffic by key and day on disk. */
export interface AccountingConfig {
  readonly enabled: boolean;
  readonly directory: string;
  readonly keepDays: number;
  readonly flushSeconds: number;
}

/** The section as written in a file: `enabled` may be missing. */
type WrittenAccounting = Omit<AccountingConfig, 'enabled'> & { readonly enabled?: boolean | undefined };

const MOST_DAYS = 3660;
/** Longest `flushSeconds`. A killed process loses the traffic of this time. */
const MOST_FLUSH_SECONDS = 60;

export const accounting: z.ZodType<WrittenAccounting> = section(
  'Bytes and packets of each node key by day, on disk; see docs/accounting.md.',
  {
    enabled: optionalKey(toggle(), 'Keep the traffic of each key on disk. Quotas need it to survive a restart.', {
      computed: 'true when a tier has bytesPerDay or bytesPerMonth',
    }),
    directory: key(
      filePath(),
      '/var/lib/towpath/accounting',
      'Directory of the database, which the relay creates. Only its own user can read it.',
    ),
    keepDays: key(integer(1, MOST_DAYS, 'days'), 400, 'Days that are kept.'),
    flushSeconds: key(
      integer(1, MOST_FLUSH_SECONDS, 'seconds'),
      10,
      'Seconds between two writes to the disk. A process that is killed loses the counts of this time.',
    ),
  },
  { shorthand: 'enabled' },
);
