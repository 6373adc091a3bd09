/** Who sent a request that came through proxies: `Forwarded` (RFC 7239) and `X-Forwarded-For`. */
import { canonicalIp, ipFamily } from './ip-address.ts';

/** The headers in which a proxy may say for whom it asks. */
export type ForwardedHeader = 'x-forwarded-for' | 'forwarded';

/** More hops than this are nobody's real chain of proxies. */
const MAX_HOPS = 32;

/**
 * The address of the nearest hop that is not one of ours, or of the client itself: the list is read from its end,
 * because anybody may have written what stands before. Null when the header names nobody.
 */
export function forwardedClient(
  header: ForwardedHeader,
  value: string,
  isTrusted: (ip: string) => boolean,
): string | null {
  const hops = value.split(',').slice(-MAX_HOPS).reverse();
  let client: string | null = null;
  for (const hop of hops) {
    const ip = ipOf(header === 'forwarded' ? forOf(hop) : hop.trim());
    // What stands left of something unreadable cannot be relied on.
    if (ip === null) return client;
    client = ip;
    if (!isTrusted(ip)) return client;
  }
  return client;
}

/** The `for` parameter of one element of a Forwarded header. */
function forOf(element: string): string {
  const match = /(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^;\s]*))/i.exec(element);
  return match?.[1] ?? match?.[2] ?? '';
}

/** The address of a hop: plain, with a port, or in brackets. */
function ipOf(hop: string): string | null {
  const match = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(hop) ?? /^([^:]+):\d{1,5}$/.exec(hop);
  const ip = match?.[1] ?? hop;
  return ip.includes('%') || ipFamily(ip) === 0 ? null : canonicalIp(ip);
}
