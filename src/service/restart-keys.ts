import { changedKeys } from '../config/changed-keys.ts';
import type { Config } from '../config/schema.ts';

/** The result of a reload, as dotted paths of configuration keys. */
export interface ReloadedKeys {
  /** Keys that differ from the last read. */
  readonly changed: readonly string[];
  /** Keys that differ from the values in use until a restart. */
  readonly restart: readonly string[];
}

/** Sections that `Service.reload` takes over without a restart, and a key that `Lifetime.reload` takes over. */
const LIVE_KEYS: ReadonlySet<string> = new Set(['fairness', 'home', 'duplicates', 'admission', 'mesh', 'log.level']);

/** Returns the keys whose change needs a restart, as dotted paths: those that differ between `inUse` and `after`. */
export function restartKeys(inUse: Config, after: Config): string[] {
  return changedKeys(inUse, after).filter((key) => !LIVE_KEYS.has(key) && !LIVE_KEYS.has(key.split('.', 1)[0]!));
}
