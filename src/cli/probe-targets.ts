import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { targetOfUrl, targetsOfMap, type ProbeTarget, type TargetOverrides } from '../client/probe/target.ts';
import { errorMessage, systemErrorCode, TowpathError } from '../errors.ts';
import { parseDerpMap, type DerpMap } from '../wire/derp-map.ts';

/** Tailscale's own map is about 60 KiB. */
const MAX_MAP_BYTES = 4 * 1024 * 1024;

/** The relays that the argument of `probe` means: a relay's URL, the URL of a DERP map, or the file of one. */
export async function readTargets(
  text: string,
  region: string | null,
  overrides: TargetOverrides,
  timeoutMs: number,
): Promise<ProbeTarget[]> {
  const isUrl = /^https?:\/\//i.test(text);
  if (isUrl && /^(?:\/|.*\/derp)$/.test(new URL(text).pathname)) {
    if (region !== null) throw usage('--region is for DERP maps, not for the URL of one relay');
    return [targetOfUrl(text, overrides)];
  }
  const targets = targetsOfMap(await readDerpMap(text, timeoutMs), region, overrides);
  if (targets.length > 0) return targets;
  throw usage(
    region === null ? `the DERP map ${text} has no relays` : `the DERP map ${text} has no region "${region}"`,
  );
}

/** The DERP map in a file or at a URL. */
export async function readDerpMap(text: string, timeoutMs: number): Promise<DerpMap> {
  const isUrl = /^https?:\/\//i.test(text);
  const source = isUrl ? await fetchMap(text, timeoutMs) : await readMap(text);
  return parseDerpMap(parseText(source, text));
}

function usage(message: string, hint?: string): TowpathError {
  return new TowpathError('TOWPATH_USAGE', message, hint === undefined ? {} : { hint });
}

async function readMap(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const hint =
      systemErrorCode(error) === 'ENOENT'
        ? 'Give a relay as https://HOST/derp, or the file or URL of a DERP map.'
        : 'The DERP map must be a file that this user can read.';
    throw usage(`${path} cannot be read: ${errorMessage(error)}`, hint);
  }
}

async function fetchMap(url: string, timeoutMs: number): Promise<string> {
  let text: string;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    text = await readBounded(response);
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? ` (${errorMessage(error.cause)})` : '';
    throw new TowpathError(
      'TOWPATH_PROBE_MAP',
      `the DERP map ${url} cannot be fetched: ${errorMessage(error)}${cause}`,
      {
        hint: 'Open the URL in a browser; or save the map to a file and give that.',
        cause: error,
      },
    );
  }
  return text;
}

async function readBounded(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_MAP_BYTES) throw new Error(`it is longer than ${MAX_MAP_BYTES} bytes`);
  }
  return text + decoder.decode();
}

/**
 * JSON is YAML too, and Headscale's maps are YAML. Of a tailnet policy, or of the part of it that `derp-map` prints, the
 * `derpMap` is taken; YAML has its trailing commas but not its comments.
 */
function parseText(text: string, where: string): unknown {
  try {
    const lines = text.split('\n').map((line) => (line.trimStart().startsWith('//') ? '' : line));
    const bare = lines.join('\n').trimEnd();
    const value: unknown = parse(bare.endsWith(',') ? bare.slice(0, -1) : bare);
    const isPolicy = typeof value === 'object' && value !== null && 'derpMap' in value;
    return isPolicy ? value.derpMap : value;
  } catch (error) {
    throw usage(`${where} is neither JSON nor YAML: ${errorMessage(error)}`);
  }
}
