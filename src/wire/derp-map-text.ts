import { onOneLine } from '../errors.ts';
import { printable, printableJson, printableLines } from '../printable.ts';
import type { DerpMap } from './derp-map.ts';

/** Forms in which a DERP map is handed to a control server. */
export const DERP_MAP_FORMATS = ['policy', 'headscale', 'json'] as const;
export type DerpMapFormat = (typeof DERP_MAP_FORMATS)[number];

/**
 * The map as text that can be pasted or written to a file as it is. `notes` become comments where the form has them.
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
      return comments(notes, '#') + yamlObject(map, '');
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

/** Headscale reads Go's structures without tags, which makes every key lower case. */
function yamlObject(value: object, indent: string): string {
  return Object.entries(value)
    .map(([name, entry]: [string, unknown]) => `${indent}${name.toLowerCase()}:${yamlValue(entry, indent)}`)
    .join('');
}

function yamlValue(value: unknown, indent: string): string {
  // JSON's quoted text is YAML's too.
  if (typeof value !== 'object' || value === null) return ` ${printable(JSON.stringify(value))}\n`;
  if (!Array.isArray(value)) return `\n${yamlObject(value, `${indent}  `)}`;
  if (value.length === 0) return ' []\n';
  const items = value.map((item: object) => {
    const text = yamlObject(item, `${indent}    `);
    return `${indent}  - ${text.slice(indent.length + 4)}`;
  });
  return `\n${items.join('')}`;
}
