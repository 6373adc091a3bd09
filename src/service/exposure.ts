import { readFileSync, readlinkSync } from 'node:fs';
import { totalmem } from 'node:os';
import type { Clock } from '../base/clock.ts';
import type { Config, ListenAddress } from '../config/schema.ts';
import { type MemoryLimit, SourceGuard } from '../relay/door/door-guard.ts';
import type { FrontProxies } from '../relay/door/front-door.ts';
import type { StunServerOptions } from '../relay/udp/stun-server.ts';
import type { KeepAlivePeriods } from '../relay/session/context.ts';
import type { ListenOptions, ProxyProtocol, ServerTls } from '../transport/port.ts';
import { PrefixSet } from '../base/ip-prefix.ts';

/** Part of the memory of the container or machine that may be in use while new connections are still let in. */
const MEMORY_SHARE = 0.85;
const MEGABYTE = 1_000_000;
const NEW_CONNECTIONS_WINDOW_SECONDS = 10;
const STUN_WINDOW_SECONDS = 10;
const MISBEHAVIOUR_WINDOW_SECONDS = 60;
/** Proxies end connections that are idle for a minute, some for 50 seconds: two of these fit in. */
const PROXY_KEEP_ALIVE_SECONDS = 25;

/**
 * Connections that wait in the kernel to be accepted. When it is full the kernel drops the first packet of a client,
 * which tries again a second later at the earliest. The kernel caps it at net.core.somaxconn, 4096 as a rule.
 */
const BACKLOG = 4096;

/** Of a row in /proc/net/udp. */
const INODE_COLUMN = 9;

/** The limits of the configuration, watched over. */
export function buildGuard({ limits, sources, proxy }: Config, clock: Clock, memory: MemoryLimit): SourceGuard {
  const misbehaviour = { windowSeconds: MISBEHAVIOUR_WINDOW_SECONDS, blockSeconds: sources.blockSeconds };
  return new SourceGuard(
    {
      ...limits,
      handshakeMs: limits.tlsHandshakeMs,
      newConnections: {
        count: sources.connectionsPer10Seconds,
        windowSeconds: NEW_CONNECTIONS_WINDOW_SECONDS,
        blockSeconds: 0,
      },
      failures: { ...misbehaviour, count: sources.failuresPerMinute },
      refusals: { ...misbehaviour, count: sources.refusalsPerMinute },
      siteFactor: sources.siteFactor,
      trackedSources: sources.tracked,
      // All clients behind a proxy look like the proxy until it says who they are.
      exempt: new PrefixSet([...sources.exempt, ...proxy.trusted]),
    },
    clock,
    memory,
  );
}

/** What STUN answers, by source. */
export function stunLimits({ stun, sources }: Config): Pick<StunServerOptions, 'limit' | 'exempt' | 'generic'> {
  const { stunPer10Seconds: burst, siteFactor } = sources;
  const perSecond = stun.genericAnswersPerSecond;
  return {
    limit: burst === 0 ? null : { perSecond: burst / STUN_WINDOW_SECONDS, burst, siteFactor },
    exempt: new PrefixSet(sources.exempt),
    generic: stun.generic ? { perSecond, burst: perSecond, siteFactor } : null,
  };
}

/** Bytes of memory beyond which there must not be more connections; 0 is no limit. */
export function memoryLimitBytes({ limits: { memoryMegabytes } }: Config): number {
  return memoryMegabytes === undefined ? defaultMemory() : memoryMegabytes * MEGABYTE;
}

function defaultMemory(): number {
  const constrained = process.constrainedMemory();
  // Without a limit the system reports 0 or a number beyond all memory.
  const available = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return available * MEMORY_SHARE;
}

/** The proxies whose header about their client is believed; null where a PROXY header before TLS tells of it. */
export function frontProxies({ transport, proxy }: Config): FrontProxies | null {
  const isTls = transport === 'tls';
  if (isTls && proxy.protocol) return null;
  const trusted = new PrefixSet(proxy.trusted);
  return { isTrusted: (ip) => trusted.has(ip), header: proxy.header, excludesOthers: !isTls && !proxy.protocol };
}

/** Periods of KeepAlive frames: short enough for what stands in front. */
export function keepAlivePeriods({ transport, proxy, limits }: Config): KeepAlivePeriods {
  const behindProxy = Math.min(limits.keepAliveSeconds, PROXY_KEEP_ALIVE_SECONDS) * 1000;
  const isAlwaysBehindProxy = transport === 'plain' || proxy.protocol;
  const keepAliveMs = isAlwaysBehindProxy ? behindProxy : limits.keepAliveSeconds * 1000;
  return { keepAliveMs, keepAliveBehindProxyMs: behindProxy };
}

/** What a listener that strangers reach has besides its place. */
type Exposed = Pick<ListenOptions, 'tls'> & Partial<ListenOptions>;

/** Options for the listeners that proxies may stand in front of. */
export function exposedListener(config: Config, tls: ServerTls | null): Exposed {
  const { proxy } = config;
  if (!proxy.protocol) return { tls, backlog: BACKLOG };
  const trusted = new PrefixSet(proxy.trusted);
  const protocol: ProxyProtocol = {
    isTrusted: (ip) => trusted.has(ip),
    timeoutMs: proxy.headerMs,
    allowsDirect: config.transport === 'tls',
  };
  return { tls, backlog: BACKLOG, proxy: protocol };
}

/** Where to listen: on the sockets that a service manager has opened, or else on the configured addresses. */
export function listenPlaces(
  inherited: readonly number[],
  configured: readonly ListenAddress[],
): readonly (ListenAddress & { readonly fd?: number })[] {
  if (inherited.length === 0) return configured;
  return inherited.map((fd) => ({ ip: isIpv4Datagram(fd) ? '0.0.0.0' : '::', port: 0, fd }));
}

/** Datagram sockets have to be treated by their family, and only the kernel knows that of an inherited one. */
function isIpv4Datagram(fd: number): boolean {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
    const rows = readFileSync('/proc/self/net/udp', 'latin1').split('\n');
    return inode !== undefined && rows.some((row) => row.trim().split(/\s+/)[INODE_COLUMN] === inode);
  } catch {
    // Without that file there is no systemd either.
    return false;
  }
}
