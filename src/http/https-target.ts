import { CharacterSet, DIGITS } from '../wire/character-set.ts';
import { ipFamily } from '../base/ip-address.ts';

const MAX_NAME_LENGTH = 253;
const MAX_PORT_DIGITS = 5;
const LABEL = new CharacterSet('0-9', 'A-Z', 'a-z', '_-');
/** Characters that a browser does not encode. */
const URI = new CharacterSet('!-~');

/**
 * Returns the name or address in a Host header, in brackets when it is IPv6 and without a port; null when it is
 * neither.
 */
export function hostOf(header: string | undefined): string | null {
  const text = header ?? '';
  const isBracketed = text.startsWith('[');
  const end = isBracketed ? text.indexOf(']') + 1 : text.includes(':') ? text.indexOf(':') : text.length;
  const host = text.slice(0, end);
  const port = text.slice(end);
  if (port !== '' && !(port.startsWith(':') && DIGITS.holds(port.slice(1), 0, MAX_PORT_DIGITS))) return null;
  if (isBracketed) return host.includes('%') || ipFamily(host.slice(1, -1)) === 0 ? null : host;
  return isHostName(host) ? host : null;
}

function isHostName(text: string): boolean {
  if (text.length > MAX_NAME_LENGTH) return false;
  const labels = text.split('.');
  // A name may end with the dot of the root.
  if (labels.length > 1 && labels.at(-1) === '') labels.pop();
  return labels.every(
    (label) => LABEL.holds(label, 1, MAX_NAME_LENGTH) && !label.startsWith('-') && !label.endsWith('-'),
  );
}

/**
 * Returns where a browser that came to port 80 finds the same page with TLS (protocol reference §5.7, rule 6). Null
 * when its Host header is missing or is not a host. The port of the Host header is that of port 80, so it is not used.
 */
export function httpsTarget(header: string | undefined, httpsPort: number, path: string, query: string): string | null {
  const host = hostOf(header);
  if (host === null || !path.startsWith('/')) return null;
  const port = httpsPort === 443 ? '' : `:${httpsPort}`;
  const uri = query === '' ? path : `${path}?${query}`;
  return `https://${host}${port}${encoded(uri)}`;
}

/** Returns the text with every character encoded that is not visible ASCII. */
function encoded(uri: string): string {
  const parts: string[] = [];
  for (let at = 0; at < uri.length;) {
    const end = URI.end(uri, at, uri.length);
    parts.push(uri.slice(at, end));
    if (end < uri.length) parts.push(encodeURIComponent(uri[end]!));
    at = end + 1;
  }
  return parts.join('');
}
