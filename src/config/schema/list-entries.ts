import { z } from 'zod';
import { nearest } from '../nearest.ts';
import { describeFound } from '../problems.ts';
import { nameWithoutSecrets } from '../secret-text.ts';
import { keyMeta, sectionMeta } from './fields.ts';

/**
 * Reads one entry of a list by the section that describes it. Calls `refuse` with each problem, and returns null when
 * there is one.
 */
export function readEntry<T>(section: z.ZodType<T>, entry: object, refuse: (message: string) => void): T | null {
  const parsed = section.safeParse(entry);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) for (const message of describeIssue(issue, section, entry)) refuse(message);
  return null;
}

function describeIssue(issue: z.core.$ZodIssue, section: z.ZodType, entry: object): string[] {
  const { shape } = sectionMeta.get(section)!;
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((name) => {
      const meant = nearest(name, Object.keys(shape));
      return `${nameWithoutSecrets(name)}: unknown key${meant === undefined ? `; allowed: ${Object.keys(shape).join(', ')}` : `; did you mean ${meant}?`}`;
    });
  }
  const name = String(issue.path[0]);
  const meta = shape[name] === undefined ? undefined : keyMeta.get(shape[name]);
  if (meta === undefined || (issue.code === 'custom' && issue.params?.['combination'] === true)) {
    return [`${name}: ${issue.message}`];
  }
  const value = (entry as Record<string, unknown>)[name];
  const shown = meta.secret ? 'a value that does not fit' : describeFound(value);
  return [`${name}: found ${shown}; allowed: ${meta.allowed}`];
}

/** Returns the fields of an entry that are paths. */
export function pathFieldsOf(section: z.ZodType): string[] {
  const { shape } = sectionMeta.get(section)!;
  return Object.entries(shape)
    .filter(([, schema]) => keyMeta.get(schema)?.isPath === true)
    .map(([name]) => name);
}

/** Returns the JSON Schema of one entry. */
export function entryJsonSchema(section: z.ZodType, required: readonly string[]): object {
  const schema: Record<string, unknown> = { ...z.toJSONSchema(section, { io: 'input' }) };
  delete schema['$schema'];
  delete schema['default'];
  return { ...schema, required };
}
