/** Parses the head of the first HTTP request of a connection, as far as the relay must know it (protocol reference §1.1). */

/**
 * What the front door needs from a request. Header names are lower case; of repeated headers the first value counts,
 * except for those with which proxies say for whom they ask: some add a line of their own instead of to the line there is.
 */
export interface RequestHead {
  readonly method: string;
  /** As sent, with query. */
  readonly target: string;
  readonly headers: ReadonlyMap<string, string>;
}

/** Why a head cannot be used, as an HTTP status. */
export interface BadHead {
  readonly status: 400 | 501 | 505;
}

const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) (\S+) HTTP\/(\d)\.(\d)$/;
const HEADER_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/;
/** Control characters other than tab have no place in a head. */

const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;

const LIST_HEADERS: ReadonlySet<string> = new Set(['x-forwarded-for', 'forwarded']);

/** Parses the text of a head without the blank line. */
export function parseRequestHead(text: string): RequestHead | BadHead {
  const lines = text.split('\r\n');
  const request = REQUEST_LINE.exec(lines[0]!);
  if (request === null) return { status: 400 };
  if (request[3] !== '1') return { status: 505 };
  const headers = new Map<string, string>();
  let lengths = new Set<string>();
  for (const line of lines.slice(1)) {
    const header = HEADER_LINE.exec(line);
    if (header === null || CONTROL.test(line)) return { status: 400 };
    const name = header[1]!.toLowerCase();
    const value = header[2]!;
    if (name === 'content-length') lengths = lengths.add(value);
    if (name === 'transfer-encoding' && value.toLowerCase() !== 'chunked') return { status: 501 };
    const before = headers.get(name);
    if (before === undefined) headers.set(name, value);
    else if (LIST_HEADERS.has(name)) headers.set(name, `${before}, ${value}`);
  }
  // Two lengths are two opinions about where the next request starts: the classic way to smuggle one.
  if (lengths.size > 1 || [...lengths].some((length) => !/^\d{1,15}$/.test(length))) return { status: 400 };
  return { method: request[1]!, target: request[2]!, headers };
}

/** True when the request asks for a raw DERP connection: `/derp` with `Upgrade: DERP`, or `websocket` without the subprotocol. */
export function wantsDerp(head: RequestHead): boolean {
  const upgrade = (head.headers.get('upgrade') ?? '').toLowerCase();
  if (pathOf(head.target) !== '/derp') return false;
  return (
    upgrade === 'derp' ||
    (upgrade === 'websocket' && !offersDerpSubprotocol(head.headers.get('sec-websocket-protocol')))
  );
}

/** The rule by which upstream tells a WebSocket client from an old one that says `websocket` and speaks raw DERP (§1.6). */
export function offersDerpSubprotocol(header: string | undefined): boolean {
  return header?.includes('derp') ?? false;
}

/** The path of a request target, without its query. */
function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}
