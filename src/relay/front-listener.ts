import type { ListenOptions, ServerTls } from '../transport/port.ts';
import { PrefixSet } from '../base/ip-prefix.ts';
import type { FrontSettings } from './settings.ts';

/**
 * Largest number of connections that wait in the kernel to be accepted. When the queue is full, the kernel drops the
 * first packet of a client, which tries again after a second or more. The kernel limits it to net.core.somaxconn,
 * usually 4096.
 */
const BACKLOG = 4096;

/** Returns the options, besides the address, of a listener for clients and proxies. */
export function frontListener(
  { proxyProtocol }: FrontSettings,
  tls: ServerTls | null,
): Pick<ListenOptions, 'tls'> & Partial<ListenOptions> {
  if (proxyProtocol === null) return { tls, backlog: BACKLOG };
  const { timeoutMs, allowsDirect } = proxyProtocol;
  const trusted = new PrefixSet(proxyProtocol.trusted);
  return { tls, backlog: BACKLOG, proxy: { isTrusted: (ip) => trusted.has(ip), timeoutMs, allowsDirect } };
}
