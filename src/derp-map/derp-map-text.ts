import { stringify } from 'yaml';
import { onOneLine } from '../base/errors.ts';
import { printable, printableJson, printableLines } from '../base/printable.ts';
import { DIGITS } from '../wire/character-set.ts';
import type { DerpMap } from './derp-map.ts';

/** Forms in which a DERP map is handed to a control server. */
export const DERP_MAP_FORMATS = ['policy', 'headscale', 'json'] as const;
export type DerpMapFormat = (typeof DERP_MAP_FORMATS)[number];

/**
 * Returns the map as text that can be pasted or written to a file as it is. `notes` become comments where the form has
 * them.
 *
 * - `policy`: the `derpMap` section of a tailnet policy file (HuJSON), to be put into its outermost braces;
 * - `headscale`: a YAML file for `derp.paths`;
 * - `json`: the map itself.
 */
export function formatDerpMap(map: DerpMap, format: DerpMapFormat, notes: readonly string[] = []): string {
  switch (format) {
    case 'json':
      return printableJson(map);
    case 'policy':
      return comments(notes, '//') + policy(map);
    case 'headscale':
      return comments(notes, '#') + printableLines(stringify(map, yamlMapping, YAML_STYLE));
  }
}

function comments(notes: readonly string[], mark: string): string {
  return notes.map((note) => `${mark} ${printable(onOneLine(note))}\n`).join('');
}

function policy({ omitDefaultRegions, ...rest }: DerpMap): string {
  // The policy file documents this key with a capital letter.
  const spelled = omitDefaultRegions === undefined ? rest : { OmitDefaultRegions: omitDefaultRegions, ...rest };
  return `"derpMap": ${printableLines(JSON.stringify(spelled, null, 2))},\n`;
}

/** All texts are quoted as in JSON, so that YAML reads none of them as another type. */
const YAML_STYLE = { defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN', lineWidth: 0 } as const;

/** Headscale reads Go's structures without tags: all keys are lower case, and regions have numbers as keys. */
function yamlMapping(_key: unknown, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return new Map(
    Object.entries(value).map(([name, entry]) => [DIGITS.holds(name, 1, 9) ? Number(name) : name.toLowerCase(), entry]),
  );
}
