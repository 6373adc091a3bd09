import { ipFamily } from '../base/ip-address.ts';
import { urlError } from './errors.ts';

const HTTPS_PORT = 443;
const HTTP_PORT = 80;

/** The parts of a relay URL. */
export interface RelayAddress {
  /** Host name or IP, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  /** Path and query. */
  readonly path: string;
  /** Value of the Host header: the port is left out where it is the default. */
  readonly hostHeader: string;
}

/**
 * Reads `https://host[:port]/derp`, or `http://` for a relay without TLS. A URL without a path means `/derp`. Throws a
 * TowpathError for other texts.
 */
export function parseRelayUrl(text: string): RelayAddress {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw urlError('is not a URL');
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw urlError('is neither https:// nor http://');
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (host === '') throw urlError('names no host');
  const secure = url.protocol === 'https:';
  return {
    host,
    port: url.port === '' ? (secure ? HTTPS_PORT : HTTP_PORT) : Number(url.port),
    secure,
    path: url.pathname === '/' ? '/derp' : url.pathname + url.search,
    hostHeader: url.host,
  };
}

/** The SNI for a host: none for an IP (§1.4), and a name without its final dot, which servers refuse (RFC 6066 §3). */
export function serverNameFor(host: string): string {
  if (ipFamily(host) !== 0) return '';
  return host.endsWith('.') ? host.slice(0, -1) : host;
}
