/** The client of a request that came through proxies: `Forwarded` (RFC 7239) and `X-Forwarded-For`. */
import { BLANKS, CharacterSet, DIGITS, TOKEN, withoutBlanks } from './character-set.ts';
import { canonicalIp, ipFamily } from '../base/ip-address.ts';

/** The headers in which a proxy may name its client. */
export type ForwardedHeader = 'x-forwarded-for' | 'forwarded';

/** Real chains of proxies are shorter than this. */
const MAX_HOPS = 32;
const MAX_PORT_DIGITS = 5;
/** Characters of a value without quotes. Proxies write addresses without them, although RFC 7239 requires them. */
const UNQUOTED = new CharacterSet('!', '#-+', '--:', '<-~');

/**
 * Returns the address of the nearest hop that is not a trusted proxy. The list is read from its end, because the client
 * may have written the entries before. Null when the header has no address.
 */
export function forwardedClient(
  header: ForwardedHeader,
  value: string,
  isTrusted: (ip: string) => boolean,
): string | null {
  let client: string | null = null;
  let end = value.length;
  for (let hops = 0; hops < MAX_HOPS && end >= 0; hops++) {
    const start = header === 'forwarded' ? elementStart(value, end) : hopStart(value, end);
    const ip = ipOf(header === 'forwarded' ? forOf(value.slice(start, end)) : withoutBlanks(value, start, end));
    // The entries before an unreadable one cannot be trusted.
    if (ip === null) return client;
    client = ip;
    if (!isTrusted(ip)) return client;
    // The comma before this hop; −1 for the first hop.
    end = start - 1;
  }
  return client;
}

/** Returns the start of the list entry that ends at `end`. */
function hopStart(value: string, end: number): number {
  return end === 0 ? 0 : value.lastIndexOf(',', end - 1) + 1;
}

/** The same for `Forwarded`, where quoted text may contain commas: a proxy may repeat text of the client there. */
function elementStart(value: string, end: number): number {
  let isQuoted = false;
  for (let at = end - 1; at >= 0; at--) {
    const character = value[at];
    if (character === '"' && !(isQuoted && isEscaped(value, at))) isQuoted = !isQuoted;
    else if (character === ',' && !isQuoted) return at + 1;
  }
  return 0;
}

/** Whether there is an odd number of backslashes before `at`. */
function isEscaped(value: string, at: number): boolean {
  let first = at;
  while (first > 0 && value[first - 1] === '\\') first--;
  return (at - first) % 2 === 1;
}

/** Returns the `for` parameter of one element of a Forwarded header; empty when it is missing or cannot be read. */
function forOf(element: string): string {
  let found = '';
  let at = 0;
  while (at < element.length) {
    const nameAt = BLANKS.end(element, at, element.length);
    const nameEnd = TOKEN.end(element, nameAt, element.length);
    const equals = BLANKS.end(element, nameEnd, element.length);
    const valueAt = BLANKS.end(element, equals + 1, element.length);
    let valueEnd = nameEnd;
    if (nameEnd > nameAt) {
      if (element[equals] !== '=') return '';
      valueEnd = element[valueAt] === '"' ? quoteEnd(element, valueAt) : UNQUOTED.end(element, valueAt, element.length);
      if (element.slice(nameAt, nameEnd).toLowerCase() === 'for') {
        if (found !== '') return '';
        found =
          element[valueAt] === '"' ? unquoted(element, valueAt + 1, valueEnd - 1) : element.slice(valueAt, valueEnd);
      }
    }
    const next = BLANKS.end(element, valueEnd, element.length);
    if (next < element.length && element[next] !== ';') return '';
    at = next + 1;
  }
  return found;
}

/** Returns the index after the quote that closes the one at `from`; after the end of the text when there is none. */
function quoteEnd(element: string, from: number): number {
  for (let at = from + 1; at < element.length; at++) {
    if (element[at] === '\\') at++;
    else if (element[at] === '"') return at + 1;
  }
  return element.length + 1;
}

function unquoted(element: string, from: number, to: number): string {
  let text = '';
  for (let at = from; at < to; at++) {
    if (element[at] === '\\') at++;
    text += element[at] ?? '';
  }
  return text;
}

/** The address of a hop: plain, with a port, or in brackets. */
function ipOf(hop: string): string | null {
  const isBracketed = hop.startsWith('[');
  const end = isBracketed ? hop.indexOf(']') + 1 : hop.indexOf(':');
  const hasPort = end > 0 && hop[end] === ':' && DIGITS.holds(hop.slice(end + 1), 1, MAX_PORT_DIGITS);
  const host = hasPort ? hop.slice(0, end) : hop;
  const ip = isBracketed && host.endsWith(']') ? host.slice(1, -1) : host;
  return ip.includes('%') || ipFamily(ip) === 0 ? null : canonicalIp(ip);
}
