import type { ListenOptions, ServerTls } from '../transport/port.ts';
import { PrefixSet } from '../base/ip-prefix.ts';
import type { FrontSettings } from './settings.ts';

/**
 * Connections that wait in the kernel to be accepted. When it is full the kernel drops the first packet of a client,
 * which tries again a second later at the earliest. The kernel caps it at net.core.somaxconn, 4096 as a rule.
 */
const BACKLOG = 4096;

/** The options, besides the address, of a listener that strangers and proxies reach. */
export function frontListener(
  { proxyProtocol }: FrontSettings,
  tls: ServerTls | null,
): Pick<ListenOptions, 'tls'> & Partial<ListenOptions> {
  if (proxyProtocol === null) return { tls, backlog: BACKLOG };
  const { timeoutMs, allowsDirect } = proxyProtocol;
  const trusted = new PrefixSet(proxyProtocol.trusted);
  return { tls, backlog: BACKLOG, proxy: { isTrusted: (ip) => trusted.has(ip), timeoutMs, allowsDirect } };
}
