/**
 * Parses the head of an HTTP request, as far as the relay needs it (protocol reference §1.1). It refuses everything
 * that a proxy in front or the HTTP server behind could read in another way: request smuggling would let one client act
 * as another. It uses no regular expressions, so that each byte is read once.
 */
import { CharacterSet, DIGITS, TOKEN, withoutBlanks } from './character-set.ts';

/** A parsed request head. Header names are lower case; the values of a repeated header are joined by `, `. */
export interface RequestHead {
  readonly method: string;
  /** As sent, with query. */
  readonly target: string;
  readonly headers: ReadonlyMap<string, string>;
}

/** Why a head is refused: an HTTP status, and text for the log. */
export interface BadHead {
  readonly status: 400 | 501 | 505;
  readonly detail: string;
}

/** Everything except control characters; a tab is allowed in a header value. */
const TEXT = new CharacterSet('\t', ' -~', '\x80-\xff');
const TARGET = new CharacterSet('!-~', '\x80-\xff');
const VERSION_PREFIX = 'HTTP/';
const VERSIONS: readonly string[] = ['1.0', '1.1'];
const MAX_LENGTH_DIGITS = 15;

/** Headers that must not be repeated: programs differ in which of two lines they use. */
const ONCE: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'derp-fast-start',
  'sec-websocket-key',
  'sec-websocket-version',
]);

/** Parses the text of a head without the blank line. */
export function parseRequestHead(text: string): RequestHead | BadHead {
  const firstEnd = lineEnd(text, 0);
  const methodEnd = TOKEN.end(text, 0, firstEnd);
  const targetEnd = TARGET.end(text, methodEnd + 1, firstEnd);
  const version = text.slice(targetEnd + 1, firstEnd);
  if (
    methodEnd === 0 ||
    text[methodEnd] !== ' ' ||
    targetEnd <= methodEnd + 1 ||
    text[targetEnd] !== ' ' ||
    version.length !== VERSION_PREFIX.length + 3 ||
    !version.startsWith(VERSION_PREFIX)
  ) {
    return bad('no request line');
  }
  const fields: string[] = [];
  for (let at = firstEnd + 2; at <= text.length;) {
    const end = lineEnd(text, at);
    if (TEXT.end(text, at, end) < end) return bad('a control character');
    const colon = text.indexOf(':', at);
    if (colon <= at || colon >= end || TOKEN.end(text, at, colon) < colon) return bad('a line that is not a header');
    fields.push(text.slice(at, colon), withoutBlanks(text, colon + 1, end));
    at = end + 2;
  }
  return checkRequestHead(
    text.slice(0, methodEnd),
    text.slice(methodEnd + 1, targetEnd),
    version.slice(VERSION_PREFIX.length),
    fields,
  );
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\r\n', from);
  return end < 0 ? text.length : end;
}

/** Checks a request that was parsed: `version` is such as `1.1`, `fields` are names and values in turn, in any case. */
export function checkRequestHead(
  method: string,
  target: string,
  version: string,
  fields: readonly string[],
): RequestHead | BadHead {
  if (!VERSIONS.includes(version)) return bad('another version of HTTP', 505);
  const headers = new Map<string, string>();
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i]!.toLowerCase();
    const value = fields[i + 1]!;
    const before = headers.get(name);
    if (before !== undefined && ONCE.has(name)) return bad(`two lines of ${name}`);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  const head = { method, target, headers };
  return bodyProblem(head, version) ?? head;
}

/** Checks that the end of the body is unambiguous. An upgrade must not have a body, because frames follow it. */
function bodyProblem(head: RequestHead, version: string): BadHead | null {
  const length = head.headers.get('content-length');
  const coding = head.headers.get('transfer-encoding');
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked') return bad('another transfer coding than chunked', 501);
    if (length !== undefined) return bad('a length and a transfer coding');
    if (version === '1.0') return bad('a transfer coding in HTTP/1.0');
  }
  if (length !== undefined && !DIGITS.holds(length, 1, MAX_LENGTH_DIGITS)) return bad('a length that is not a number');
  const hasBody = coding !== undefined || Number(length ?? 0) > 0;
  return hasBody && upgradeOf(head) !== null ? bad('an upgrade with a body') : null;
}

function bad(detail: string, status: BadHead['status'] = 400): BadHead {
  return { status, detail };
}

/**
 * Returns what a request for `/derp` asks for. `derp`: a raw DERP connection, also when an old client says `websocket`
 * without the subprotocol (§1.6). `websocket`. Null: not an upgrade, or another path.
 */
export function upgradeOf({ method, target, headers }: RequestHead): 'derp' | 'websocket' | null {
  // CONNECT is for another server, whatever its headers say.
  if (method === 'CONNECT' || pathOf(target) !== '/derp') return null;
  const upgrade = headers.get('upgrade')?.toLowerCase();
  if (upgrade === 'derp') return 'derp';
  if (upgrade !== 'websocket') return null;
  return headers.get('sec-websocket-protocol')?.includes('derp') === true ? 'websocket' : 'derp';
}

/** Returns the options of a DERP connection in its request (§1.1). */
export function derpFacts({ headers }: RequestHead): { readonly fastStart: boolean; readonly notIdeal: boolean } {
  return {
    fastStart: headers.get('derp-fast-start') === '1',
    notIdeal: (headers.get('ideal-node') ?? '') !== '',
  };
}

/** The path of a request target, without its query. */
function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}
