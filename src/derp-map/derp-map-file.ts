import { createReadStream } from 'node:fs';
import { errorMessage, systemErrorCode, TowpathError } from '../base/errors.ts';
import { redactUrl } from '../base/redact-url.ts';
import { requestHttp, type HttpAnswer } from '../transport/http/request.ts';
import { parseDerpMap, type DerpMap } from './derp-map.ts';
import { huJsonStart, parseHuJson } from './hujson.ts';
import { parsePlainYaml } from './plain-yaml.ts';

/** Tailscale's own map is about 60 KiB. */
const MAX_MAP_BYTES = 4 * 1024 * 1024;
const MAX_MAP_TEXT = '4 MiB';
const MAX_REDIRECTS = 5;
/** An address with a scheme. A single letter and a colon begin a path of Windows. */
const ADDRESS = /^\s*[a-z][a-z0-9+.-]+:\//i;
const WEB_PROTOCOLS: ReadonlySet<string> = new Set(['http:', 'https:']);
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Reads the DERP map of a file or a URL. Each request has the time limit `timeoutMs`. Rejects with a TowpathError. */
export async function readDerpMap(place: string, timeoutMs: number): Promise<DerpMap> {
  const url = webAddressOf(place);
  const text = url === null ? await readMap(place) : await fetchMap(url, timeoutMs);
  return parseDerpMapText(text, placeForMessages(place));
}

/**
 * Returns the web address in `place`; null for a file. Throws `TOWPATH_USAGE` for an address that cannot be fetched.
 */
export function webAddressOf(place: string): URL | null {
  if (!ADDRESS.test(place)) return null;
  const url = URL.parse(place);
  if (url !== null && WEB_PROTOCOLS.has(url.protocol)) return url;
  throw usage(`${redactUrl(place)} is not a URL that starts with https:// or http://`);
}

/** Returns a place for messages: a file, or a URL without possible secrets. */
export function placeForMessages(place: string): string {
  return ADDRESS.test(place) ? redactUrl(place) : place;
}

/**
 * Parses a map: the map itself as JSON, the `derpMap` of a tailnet policy or of the part of it that `derp-map` prints
 * (both HuJSON), or the YAML of Headscale. `place` is for the errors.
 */
function parseDerpMapText(text: string, place: string): DerpMap {
  const value = parseText(text.replace(/^\uFEFF/, ''), place);
  const names = typeof value === 'object' && value !== null ? Object.keys(value) : [];
  const find = (wanted: string): string | undefined => {
    const [found, second] = names.filter((name) => name.toLowerCase() === wanted);
    if (second !== undefined) throw usage(`${place}: the key "${second}" is there twice, in different spelling`);
    return found;
  };
  const policy = find('derpmap');
  if (policy !== undefined) return parseDerpMap((value as Record<string, unknown>)[policy]);
  if (find('regions') !== undefined) return parseDerpMap(value);
  throw usage(`${place} does not contain a DERP map: there is neither Regions nor derpMap`);
}

function parseText(text: string, place: string): unknown {
  try {
    switch (huJsonStart(text)) {
      case 'value':
        return parseHuJson(text);
      case 'members':
        // The last line may be a comment, and lines keep their numbers.
        return parseHuJson(`{${text}\n}`);
      case null:
        return parsePlainYaml(text);
    }
  } catch (error) {
    if (!(error instanceof TowpathError)) throw error;
    throw usage(`${place}: ${error.message}`, 'The DERP map must be JSON, HuJSON as in a tailnet policy, or YAML.');
  }
}

function usage(message: string, hint?: string): TowpathError {
  return new TowpathError('TOWPATH_USAGE', message, hint === undefined ? {} : { hint });
}

async function readMap(path: string): Promise<string> {
  try {
    return await readBounded(createReadStream(path));
  } catch (error) {
    const hint =
      systemErrorCode(error) === 'ENOENT'
        ? 'Name a relay as https://HOST/derp, or the file or URL of a DERP map.'
        : 'Make sure that this user can read the file.';
    throw usage(`${path} cannot be read: ${errorMessage(error)}`, hint);
  }
}

/** Fetches the map. It uses the proxy of the environment, like every other HTTP request. */
async function fetchMap(url: URL, timeoutMs: number): Promise<string> {
  try {
    const { status, body, isWhole } = await followed(url, timeoutMs);
    if (status !== 200) throw new Error(`HTTP ${status}`);
    if (!isWhole) throw new Error(`it is longer than ${MAX_MAP_TEXT}`);
    return new TextDecoder().decode(body);
  } catch (error) {
    throw new TowpathError(
      'TOWPATH_PROBE_MAP',
      `the DERP map ${redactUrl(url.href)} cannot be fetched: ${errorMessage(error)}`,
      {
        hint: 'Try the URL in a browser, or save the map to a file and use the file.',
        cause: error,
      },
    );
  }
}

/** Follows redirects and returns the last answer. Each request has the time limit `timeoutMs`. */
async function followed(url: URL, timeoutMs: number): Promise<HttpAnswer> {
  let target = url;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    if (target.username !== '' || target.password !== '') throw new Error('a user or a password in a URL is not sent');
    const headers = { Accept: 'application/json, text/plain, */*' };
    const request = { url: target.href, method: 'GET', headers, timeoutMs, limitBytes: MAX_MAP_BYTES };
    const answer = await requestHttp(request);
    const location = answer.headers.get('location');
    if (!REDIRECTS.has(answer.status) || location === undefined) return answer;
    const next = URL.parse(location, target.href);
    if (next === null || !WEB_PROTOCOLS.has(next.protocol)) {
      throw new Error(`it redirects to ${JSON.stringify(redactUrl(location))}, which is not a web address`);
    }
    target = next;
  }
  throw new Error(`more than ${MAX_REDIRECTS} redirects`);
}

async function readBounded(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > MAX_MAP_BYTES) throw new Error(`it is longer than ${MAX_MAP_TEXT}`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
