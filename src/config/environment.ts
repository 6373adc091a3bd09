import type { Layer } from './file.ts';
import { configKeys, type ConfigKey } from './keys.ts';
import { nearest } from './nearest.ts';
import type { Problem } from './problems.ts';
import { splitList } from './schema/values.ts';
import { ServiceLinks } from './service-links.ts';
import type { Setting } from './setting.ts';

/** Names the configuration file when no flag does. */
export const CONFIG_FILE_VARIABLE = 'TOWPATH_CONFIG';

/** Variables that are not configuration keys: those of the command line, and of our own build and test scripts. */
const OTHER_NAMES = /^TOWPATH_(?:CONFIG|NODE|COMMAND|TOKEN|(?:INTEROP|TEST|BENCH)(?:_.*)?)$/;
/** The environment of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Reads all `TOWPATH_…` variables. An empty variable counts as not set. */
export function readEnvironment(env: Environment): Layer {
  const settings: Setting[] = [];
  const known = new Set<string>();
  const links = new ServiceLinks(env);
  for (const key of configKeys.values()) {
    for (const name of key.envNames) known.add(name);
    const name = key.envNames.find((candidate) => (env[candidate] ?? '') !== '' && !links.replaces(candidate));
    if (name === undefined) continue;
    settings.push({ key, value: valueFromText(key, env[name]!), origin: { kind: 'env', name } });
  }
  const problems: Problem[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('TOWPATH_') || known.has(name) || (value ?? '') === '') continue;
    if (OTHER_NAMES.test(name) || links.has(name)) continue;
    const meant = nearest(
      name.slice(8),
      [...known].map((candidate) => candidate.slice(8)),
    );
    const text = meant === undefined ? 'no key has this name' : `no key has this name; did you mean TOWPATH_${meant}?`;
    problems.push({ origin: { kind: 'env', name }, path: '', text });
  }
  return { settings, problems };
}

/**
 * Returns a value from text as a file would hold it. Text that does not fit the key stays text, and the schema refuses
 * it with the name of the key.
 */
export function valueFromText(key: ConfigKey, text: string): unknown {
  const trimmed = text.trim();
  switch (key.kind) {
    case 'number':
      return /^[+-]?\d{1,16}$/.test(trimmed) ? Number(trimmed) : text;
    case 'boolean':
      return trimmed === 'true' || trimmed === 'false' ? trimmed === 'true' : text;
    case 'list':
      return splitList(text);
    case 'json':
      return fromJson(text);
    case 'text':
      return text;
  }
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
