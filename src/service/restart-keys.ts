import type { Config } from '../config/schema.ts';

/** What a reload found, as dotted paths of configuration keys. */
export interface ReloadedKeys {
  /** Different from what was read before. */
  readonly changed: readonly string[];
  /** Different from what is in use, until a restart. */
  readonly restart: readonly string[];
}

/** Keys that `Service.reload` takes over without a restart. */
const LIVE_KEYS: ReadonlySet<string> = new Set(['fairness', 'home', 'duplicates', 'log', 'admission', 'mesh']);

/** The keys whose change needs a restart. */
export function restartKeys(before: Config, after: Config): string[] {
  const keys = Object.keys(after) as (keyof Config)[];
  return keys.filter((key) => !LIVE_KEYS.has(key) && JSON.stringify(before[key]) !== JSON.stringify(after[key]));
}
