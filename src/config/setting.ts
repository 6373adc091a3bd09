import type { ConfigKey } from './keys.ts';
import type { Origin } from './origin.ts';

/** A value of a configuration key, not checked yet. */
export interface Setting {
  readonly key: ConfigKey;
  readonly value: unknown;
  readonly origin: Origin;
  /** The lines of the entries, for a list in a file. */
  readonly entryLines?: readonly number[];
}
