import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { fromCurrentDirectory } from '../base/current-directory.ts';
import { CONFIG_FILE_VARIABLE, readEnvironment, valueFromText, type Environment } from './environment.ts';
import { readConfigFile, readConfigValues, type Layer } from './file.ts';
import { configKeys, type ConfigKey } from './keys.ts';
import { nearest } from './nearest.ts';
import type { Origin } from './origin.ts';
import { configError, describeFound, type Problem } from './problems.ts';
import { configSchema, type Config } from './schema.ts';
import type { Setting } from './setting.ts';

/** The values of the command line, by the path of the key. */
export type FlagValues = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/**
 * The sources of a configuration. Flags override the environment, which overrides the file, which overrides the
 * defaults.
 */
export interface ConfigSources {
  /** Without it, `TOWPATH_CONFIG` in `env` names the file; without both there is no file. */
  readonly file?: string | undefined;
  /** The content of a file, for programs that have none. */
  readonly values?: object;
  /** The name of `values` in messages. */
  readonly valuesFrom?: string;
  readonly env?: Environment;
  readonly flags?: FlagValues;
}

/** A valid configuration. */
export interface LoadedConfig {
  readonly config: Config;
  /** Where each value comes from, by the path of its key. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** The file that was read, if there was one. */
  readonly file: string | undefined;
}

/**
 * Reads and checks the configuration; can be called again at any time for a reload. Throws a TowpathError
 * `TOWPATH_CONFIG_INVALID` that lists every problem, or `TOWPATH_CONFIG_FILE` when the file cannot be read.
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const { env = {}, flags = {} } = sources;
  const fromEnv = env[CONFIG_FILE_VARIABLE];
  const file = sources.file ?? (fromEnv === '' ? undefined : fromEnv);
  const layers: Layer[] = [readEnvironment(env), readFlags(flags)];
  if (file !== undefined) layers.unshift(readConfigFile(file));
  if (sources.values !== undefined) layers.unshift(readConfigValues(sources.values, sources.valuesFrom));
  const settings = new Map<string, Setting>();
  for (const layer of layers) for (const setting of layer.settings) settings.set(setting.key.path, setting);
  const problems = layers.flatMap((layer) => layer.problems);
  const parsed = configSchema.safeParse(toTree(settings.values()));
  if (!parsed.success) problems.push(...parsed.error.issues.map((issue) => toProblem(issue, settings)));
  if (problems.length > 0 || !parsed.success) throw configError(problems.toSorted(byLine));
  const origins = new Map([...configKeys.values()].map((key) => [key.path, originOf(key, settings)]));
  return { config: parsed.data, origins, file };
}

function readFlags(flags: FlagValues): Layer {
  const settings: Setting[] = [];
  const problems: Problem[] = [];
  for (const [path, value] of Object.entries(flags)) {
    const key = configKeys.get(path);
    if (key === undefined) {
      const meant = nearest(path, configKeys.keys());
      problems.push({
        origin: undefined,
        path,
        text: `unknown key${meant === undefined ? '' : `; did you mean ${meant}?`}`,
      });
      continue;
    }
    const origin = {
      kind: 'flag',
      name: value === false ? `no-${key.flagName ?? path}` : (key.flagName ?? path),
    } as const;
    settings.push({ key, value: typeof value === 'string' ? valueFromText(key, value) : value, origin });
  }
  return { settings, problems };
}

/** Returns the object that the schema checks, with absolute paths. */
function toTree(settings: Iterable<Setting>): Record<string, unknown> {
  const tree: Record<string, unknown> = {};
  for (const { key, value, origin } of settings) {
    const names = key.path.split('.');
    const last = names.pop()!;
    let place = tree;
    for (const name of names) place = (place[name] ??= {}) as Record<string, unknown>;
    place[last] = withAbsolutePaths(key, value, origin);
  }
  return tree;
}

function withAbsolutePaths(key: ConfigKey, value: unknown, origin: Origin): unknown {
  if (key.isPath) return absolutePath(value, origin);
  if (key.pathFields.length === 0 || !Array.isArray(value)) return value;
  return value.map((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) return entry;
    const paths = key.pathFields.filter((field) => field in entry);
    const absolute = paths.map((field) => [field, absolutePath((entry as Record<string, unknown>)[field], origin)]);
    return { ...entry, ...(Object.fromEntries(absolute) as object) };
  });
}

/** Makes a path absolute. A path in a file is relative to that file's directory, others to the current directory. */
function absolutePath(value: unknown, origin: Origin): unknown {
  if (typeof value !== 'string' || value === '') return value;
  return origin.kind === 'file' ? resolve(dirname(origin.file), value) : fromCurrentDirectory(value);
}

function toProblem(issue: z.core.$ZodIssue, settings: ReadonlyMap<string, Setting>): Problem {
  const at = issue.path.findIndex((part) => typeof part === 'number');
  const names = at < 0 ? issue.path : issue.path.slice(0, at);
  const index = at < 0 ? undefined : Number(issue.path[at]);
  const path = names.join('.');
  const key = configKeys.get(path);
  const setting = settings.get(path) ?? sectionSetting(path, settings);
  const params = issue.code === 'custom' ? issue.params : undefined;
  const line = index === undefined ? undefined : setting?.entryLines?.[index];
  const origin = setting?.origin.kind === 'file' && line !== undefined ? { ...setting.origin, line } : setting?.origin;
  const entry = line === undefined ? '' : `[${index ?? 0}]`;
  if (key === undefined || params?.['combination'] === true)
    return { origin, path: `${path}${entry}`, text: issue.message };
  return {
    origin,
    path: `${path}${entry}`,
    text: `found ${key.secret ? 'a value that does not fit' : describeFound(params?.['found'] ?? setting?.value)}; allowed: ${key.allowed}`,
  };
}

/** Returns another key of the same section, whose place is shown for a missing key. */
function sectionSetting(path: string, settings: ReadonlyMap<string, Setting>): Setting | undefined {
  const prefix = path.slice(0, path.lastIndexOf('.') + 1);
  return prefix === '' ? undefined : [...settings.values()].find((setting) => setting.key.path.startsWith(prefix));
}

function originOf(key: ConfigKey, settings: ReadonlyMap<string, Setting>): Origin {
  const setting = settings.get(key.path);
  if (setting !== undefined) return setting.origin;
  return key.computed === undefined ? { kind: 'default' } : { kind: 'computed', from: key.computed };
}

/** Sorts problems: those of the file come first, in its order. */
function byLine(a: Problem, b: Problem): number {
  const line = ({ origin }: Problem): number => (origin?.kind === 'file' ? origin.line : Number.MAX_SAFE_INTEGER);
  return line(a) - line(b);
}
