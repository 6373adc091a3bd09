import type { z } from 'zod';
import { keyMeta, sectionMeta, type KeyMeta } from './schema/fields.ts';
import { configSchema } from './schema.ts';

/** One key of the configuration, with the names it has in every source. */
export interface ConfigKey extends KeyMeta {
  readonly type: 'key';
  /** For example `fairness.perClient.bytesPerSecond`. */
  readonly path: string;
  /** For example `TOWPATH_FAIRNESS_PER_CLIENT_BYTES_PER_SECOND`; the first is the documented one. */
  readonly envNames: readonly string[];
  /** The name of the flag without dashes, or null when there is none. */
  readonly flagName: string | null;
}

/** A group of keys. The root has the empty path. */
export interface ConfigSection {
  readonly type: 'section';
  readonly path: string;
  readonly help: string;
  readonly entries: ReadonlyMap<string, ConfigKey | ConfigSection>;
  /** The key that a bare value stands for, as in `stun: off`. */
  readonly shorthand: ConfigKey | undefined;
}

/** The schema as a tree of named keys. */
export const configTree: ConfigSection = readSection(configSchema, [], true);

/** Every key by its path, in the order of the schema. */
export const configKeys: ReadonlyMap<string, ConfigKey> = new Map(
  [...keysBelow(configTree)].map((found) => [found.path, found]),
);

/** Yields the keys of a section and of its sections. */
export function* keysBelow(section: ConfigSection): Generator<ConfigKey> {
  for (const entry of section.entries.values()) {
    if (entry.type === 'key') yield entry;
    else yield* keysBelow(entry);
  }
}

function readSection(schema: z.ZodType, path: readonly string[], hasFlags: boolean): ConfigSection {
  const meta = sectionMeta.get(schema);
  if (meta === undefined) throw new TypeError(`config schema: ${path.join('.')} was not made by key() or section()`);
  const entries = new Map<string, ConfigKey | ConfigSection>();
  let shorthand: ConfigKey | undefined;
  for (const [name, child] of Object.entries(meta.shape)) {
    const childPath = [...path, name];
    const found = keyMeta.get(child);
    if (found === undefined) {
      entries.set(name, readSection(child, childPath, hasFlags && meta.flags));
      continue;
    }
    const isShorthand = name === meta.shorthand;
    const key = readKey(found, childPath, hasFlags && meta.flags, isShorthand ? path : undefined);
    entries.set(name, key);
    if (isShorthand) shorthand = key;
  }
  return { type: 'section', path: path.join('.'), help: meta.help, entries, shorthand };
}

function readKey(
  meta: KeyMeta,
  path: readonly string[],
  hasFlags: boolean,
  shortPath: readonly string[] | undefined,
): ConfigKey {
  const envNames = [envName(path)];
  if (shortPath !== undefined) envNames.push(envName(shortPath));
  const flag = hasFlags ? (meta.flag ?? kebab(path)) : false;
  return { ...meta, type: 'key', path: path.join('.'), envNames, flagName: flag === false ? null : flag };
}

function envName(path: readonly string[]): string {
  return `TOWPATH_${kebab(path).replaceAll('-', '_').toUpperCase()}`;
}

function kebab(path: readonly string[]): string {
  return path.map((name) => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)).join('-');
}
