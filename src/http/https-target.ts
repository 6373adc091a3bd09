import { ipFamily } from '../wire/ip-address.ts';

const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$/;

/** The name or address in a Host header, in brackets when it is IPv6 and without a port; null when it is neither. */
export function hostOf(header: string | undefined): string | null {
  const match = /^(\[[^\]]*\]|[^:]*)(?::\d{0,5})?$/.exec(header ?? '');
  const host = match?.[1] ?? '';
  if (host.startsWith('[')) return host.includes('%') || ipFamily(host.slice(1, -1)) === 0 ? null : host;
  return HOST_NAME.test(host) ? host : null;
}

/**
 * Where a browser that came to port 80 finds the same page with TLS (protocol reference §5.7, rule 6); null when its
 * Host header is missing or no host. The port of the Host header is port 80's, so it is not echoed.
 */
export function httpsTarget(header: string | undefined, httpsPort: number, path: string, query: string): string | null {
  const host = hostOf(header);
  if (host === null || !path.startsWith('/')) return null;
  const port = httpsPort === 443 ? '' : `:${httpsPort}`;
  const uri = query === '' ? path : `${path}?${query}`;
  return `https://${host}${port}${uri.replaceAll(/[^\x21-\x7e]/g, (character) => encodeURIComponent(character))}`;
}
