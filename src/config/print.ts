import { printableJson, printableLines } from '../base/printable.ts';
import { formatHostPort } from '../base/ip-address.ts';
import { configKeys, configTree, type ConfigKey, type ConfigSection } from './keys.ts';
import type { LoadedConfig } from './load.ts';
import { formatOrigin } from './origin.ts';
import { withoutUrlSecrets } from './secret-text.ts';

const MASK = '********';
/** A reference to a secret, which is not secret itself. */
const REFERENCE = /^(?:env|credential):/;

/**
 * Returns the effective configuration as YAML that can be loaded again, with the origin of every value in a comment.
 */
export function printYaml(loaded: LoadedConfig): string {
  const lines: string[] = [];
  printSection(configTree, '', loaded, lines);
  return printableLines(`${lines.join('\n')}\n`);
}

/** Returns the effective configuration as JSON: the value of every key, null when there is none, and its origin. */
export function printJson(loaded: LoadedConfig): string {
  const entries = [...configKeys.values()].map((key) => {
    const value = shownValue(key, loaded) ?? null;
    return [key.path, { value, origin: originText(key, loaded) }] as const;
  });
  return printableJson(Object.fromEntries(entries));
}

function printSection(section: ConfigSection, indent: string, loaded: LoadedConfig, lines: string[]): void {
  for (const [name, entry] of section.entries) {
    if (entry.type === 'section') {
      lines.push(`${indent}${name}:`);
      printSection(entry, `${indent}  `, loaded, lines);
      continue;
    }
    const value = shownValue(entry, loaded);
    if (value === undefined) lines.push(`${indent}# ${name}: not set`);
    else lines.push(`${indent}${name}: ${JSON.stringify(value)} # ${originText(entry, loaded)}`);
  }
}

function originText(key: ConfigKey, loaded: LoadedConfig): string {
  const origin = loaded.origins.get(key.path);
  return origin === undefined ? 'default' : formatOrigin(origin);
}

function shownValue(key: ConfigKey, { config }: LoadedConfig): unknown {
  let value: unknown = config;
  for (const name of key.path.split('.')) value = (value as Record<string, unknown>)[name];
  return showValue(key, value);
}

/** Returns a value as it is written in a file, masked when it is a secret; undefined when there is none. */
export function showValue(key: ConfigKey, value: unknown): unknown {
  if (value === undefined) return undefined;
  if (key.secret) return typeof value === 'string' && REFERENCE.test(value) ? value : MASK;
  if (value === null || (isEmptyList(value) && key.allowed.endsWith('or off'))) return 'off';
  return Array.isArray(value) ? value.map(written) : written(value);
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function written(value: unknown): unknown {
  if (typeof value === 'string') return withoutUrlSecrets(value);
  if (typeof value === 'object' && value !== null && 'kind' in value) {
    // A source of admission: the URL of a web service may have a token in it.
    return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, written(entry)]));
  }
  if (typeof value !== 'object' || value === null || !('ip' in value) || !('port' in value)) return value;
  return formatHostPort(String(value.ip), Number(value.port));
}
