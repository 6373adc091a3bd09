import { configKeys } from '../../config/keys.ts';
import type { Config } from '../../config/schema.ts';
import type { LimitsAnswer } from '../../api/shapes.ts';

/** Limits that take effect without a restart, with the smallest value of each. */
export const CHANGEABLE: ReadonlyMap<string, number> = new Map([
  ['fairness.perClient.bytesPerSecond', 0],
  ['fairness.perClient.burstBytes', 65_568],
  ['fairness.totalBytesPerSecond', 0],
]);
const SECTIONS = ['fairness.', 'limits.', 'sources.'];

/**
 * Returns the limits of the configuration that are numbers. `used` returns how much of one is in use; null when that is
 * not counted.
 */
export function limitTable(
  config: Config,
  changed: ReadonlySet<string>,
  used: (name: string) => number | null,
): LimitsAnswer['limits'] {
  const names = [...configKeys.values()].filter(
    ({ path, kind }) => kind === 'number' && SECTIONS.some((section) => path.startsWith(section)),
  );
  return names.map(({ path, help }) => ({
    name: path,
    value: valueAt(config, path),
    help,
    used: used(path),
    isChangeable: CHANGEABLE.has(path),
    isChanged: changed.has(path),
  }));
}

/**
 * Returns the configuration with another number at a path that it has; null: the number of `read`, which was read last.
 */
export function withLimit(config: Config, path: string, value: number | null, read: Config): Config {
  const copy = structuredClone(config);
  const names = path.split('.');
  const last = names.pop()!;
  let at = copy as unknown as Record<string, unknown>;
  for (const name of names) at = at[name] as Record<string, unknown>;
  at[last] = value ?? valueAt(read, path);
  return copy;
}

function valueAt(config: Config, path: string): number | null {
  let at: unknown = config;
  for (const name of path.split('.')) at = (at as Record<string, unknown> | undefined)?.[name];
  return typeof at === 'number' ? at : null;
}
