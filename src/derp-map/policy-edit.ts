import { applyEdits, modify } from 'jsonc-parser';
import { isDeepStrictEqual } from 'node:util';
import { TowpathError } from '../base/errors.ts';
import type { DerpMap } from './derp-map.ts';
import { parseHuJson } from './hujson.ts';

type JsonObject = Readonly<Record<string, unknown>>;

const CONTEXT_LINES = 3;
const FORMAT = { formattingOptions: { insertSpaces: true, tabSize: 2, eol: '\n' } } as const;

/**
 * Returns the policy file of a tailnet (HuJSON) with the one region of `map` in it. Comments and everything else stay
 * as they are. Throws `TOWPATH_POLICY` when the file is invalid, and when a region of this number belongs to another
 * relay.
 */
export function policyWithRegion(policy: string, map: DerpMap): string {
  const before = asObject(parseHuJson(policy), 'the policy file');
  const [id, region] = Object.entries(map.Regions)[0]!;
  const derpMapKey = spelling(before, 'derpMap');
  const derpMap = asObject(before[derpMapKey] ?? {}, derpMapKey);
  const regionsKey = spelling(derpMap, 'Regions');
  const regions = asObject(derpMap[regionsKey] ?? {}, `${derpMapKey}.${regionsKey}`);
  refuseForeign(regions, id, map);
  const path = [derpMapKey, regionsKey, id];
  const text = applyEdits(policy, modify(policy, path, region, FORMAT));
  const wanted = { ...before, [derpMapKey]: { ...derpMap, [regionsKey]: { ...regions, [id]: region } } };
  // The edit changes text. This checks that the parsed result is the wanted one.
  if (isDeepStrictEqual(plain(parseHuJson(text)), plain(wanted))) return text;
  throw new TowpathError('TOWPATH_POLICY', 'the policy file cannot be edited without another change in it', {
    hint: 'Put the output of "towpath derp-map" into it by hand.',
  });
}

/**
 * Returns the lines that differ, after `-` and `+`, with {@link CONTEXT_LINES} lines around them; empty when nothing
 * differs.
 */
export function lineDiff(before: string, after: string): string {
  if (before === after) return '';
  const [old, now] = [before.split('\n'), after.split('\n')];
  let start = 0;
  while (start < Math.min(old.length, now.length) && old[start] === now[start]) start++;
  let end = 0;
  while (end < Math.min(old.length, now.length) - start && old.at(-1 - end) === now.at(-1 - end)) end++;
  const lines = [
    ...old.slice(Math.max(start - CONTEXT_LINES, 0), start).map((line) => `  ${line}`),
    ...old.slice(start, old.length - end).map((line) => `- ${line}`),
    ...now.slice(start, now.length - end).map((line) => `+ ${line}`),
    ...old
      .slice(old.length - end)
      .slice(0, CONTEXT_LINES)
      .map((line) => `  ${line}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** Throws when the region of this number names another host, or is `null`, which removes a default region. */
function refuseForeign(regions: JsonObject, id: string, map: DerpMap): void {
  if (!(id in regions)) return;
  const own = Object.values(map.Regions)[0]!.Nodes.map((node) => node.HostName);
  const found = regions[id];
  const nodes = typeof found === 'object' && found !== null && 'Nodes' in found ? found.Nodes : null;
  const hosts = Array.isArray(nodes) ? nodes.map((node: unknown) => hostOf(node)) : [];
  if (hosts.length > 0 && hosts.every((host) => own.includes(host))) return;
  const what = hosts.length === 0 ? 'something that is not a relay' : hosts.join(', ');
  throw new TowpathError(
    'TOWPATH_POLICY',
    `region ${id} of the policy file is ${what}, not this relay (${own.join(', ')})`,
    {
      hint: 'Give this relay another region.id, or remove that region from the policy file first.',
    },
  );
}

function hostOf(node: unknown): string {
  return typeof node === 'object' && node !== null && 'HostName' in node ? String(node.HostName) : '?';
}

/** Returns the spelling of a key that is in the object. Go ignores case, so another spelling would be a second key. */
function spelling(object: JsonObject, key: string): string {
  return Object.keys(object).find((name) => name.toLowerCase() === key.toLowerCase()) ?? key;
}

function asObject(value: unknown, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new TowpathError('TOWPATH_POLICY', `${what} is not an object`, {
    hint: 'Correct the policy file in the admin console first.',
  });
}

/** Returns a value without undefined keys and without prototypes. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
