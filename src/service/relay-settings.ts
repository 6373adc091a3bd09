import { totalmem } from 'node:os';
import type { Config } from '../config/schema.ts';
import type { UdpDoorSettings } from '../relay/udp/door.ts';
import type { KeepAlivePeriods } from '../relay/session/context.ts';
import type { LiveSettings, RelaySettings } from '../relay/settings.ts';
import { meshSettings } from './mesh/settings.ts';
import { privateKeyBytes, type NodeKeyPair } from '../wire/keys.ts';

/** Part of the memory of the container or machine up to which new connections are accepted. */
const MEMORY_SHARE = 0.85;
const MEGABYTE = 1_000_000;
const NEW_CONNECTIONS_WINDOW_SECONDS = 10;
const STUN_WINDOW_SECONDS = 10;
const MISBEHAVIOUR_WINDOW_SECONDS = 60;
/** KeepAlive period behind a proxy. Proxies end connections that are idle for 50 to 60 seconds: two periods fit in. */
const PROXY_KEEP_ALIVE_SECONDS = 25;

/** Returns the settings of a relay from the configuration, as plain data. */
export function relaySettings(config: Config, keyPair: NodeKeyPair, threads = 1): RelaySettings {
  const { limits } = config;
  const { derpHandshakeMs, writeDeadlineMs, queueBytes, discoQueueBytes, queueMs, readBudgetBytes } = limits;
  const { requestHeadMs, requestHeadBytes, connectionsPerKey, contactsPerClient } = limits;
  return {
    threads,
    privateKey: privateKeyBytes(keyPair),
    limits: {
      ...{ derpHandshakeMs, writeDeadlineMs, queueBytes, discoQueueBytes, queueMs, readBudgetBytes },
      ...{ requestHeadMs, requestHeadBytes, connectionsPerKey, contactsPerClient },
      ...keepAlivePeriods(config),
    },
    totalQueueBytes: limits.totalQueueBytes,
    memoryBytes: limits.memoryMegabytes === undefined ? defaultMemory() : limits.memoryMegabytes * MEGABYTE,
    guard: guardSettings(config),
    proxies: proxySettings(config),
    front: frontSettings(config),
    live: liveSettings(config),
  };
}

/** Returns the part that a reload can change. */
export function liveSettings({ duplicates, fairness, admission, mesh }: Config): LiveSettings {
  const { perClient, totalBytesPerSecond } = fairness;
  return {
    duplicates,
    deniedApps: admission.denyApps,
    fairness: { perClient, totalBytesPerSecond },
    mesh: meshSettings(mesh, process.env),
  };
}

/** Returns the settings of the public listeners. */
export function frontSettings({ transport, proxy, limits }: Config): RelaySettings['front'] {
  const { protocol, trusted, headerMs } = proxy;
  return {
    tlsHandshakeMs: limits.tlsHandshakeMs,
    proxyProtocol: protocol ? { trusted, timeoutMs: headerMs, allowsDirect: transport === 'tls' } : null,
  };
}

/** Returns the periods of KeepAlive frames: short enough for a proxy in front. */
export function keepAlivePeriods({ transport, proxy, limits }: Config): KeepAlivePeriods {
  const behindProxy = Math.min(limits.keepAliveSeconds, PROXY_KEEP_ALIVE_SECONDS) * 1000;
  const isAlwaysBehindProxy = transport === 'plain' || proxy.protocol;
  const keepAliveMs = isAlwaysBehindProxy ? behindProxy : limits.keepAliveSeconds * 1000;
  return { keepAliveMs, keepAliveBehindProxyMs: behindProxy };
}

function guardSettings({ limits, sources, proxy }: Config): RelaySettings['guard'] {
  const { connections, connectionsPerSource, handshakes, handshakesPerSource, tlsHandshakeMs } = limits;
  const misbehaviour = { windowSeconds: MISBEHAVIOUR_WINDOW_SECONDS, blockSeconds: sources.blockSeconds };
  return {
    ...{ connections, connectionsPerSource, handshakes, handshakesPerSource },
    handshakeMs: tlsHandshakeMs,
    newConnections: {
      count: sources.connectionsPer10Seconds,
      windowSeconds: NEW_CONNECTIONS_WINDOW_SECONDS,
      blockSeconds: 0,
    },
    failures: { ...misbehaviour, count: sources.failuresPerMinute },
    refusals: { ...misbehaviour, count: sources.refusalsPerMinute },
    siteFactor: sources.siteFactor,
    trackedSources: sources.tracked,
    // All clients behind a proxy have the proxy's address until it names them.
    exempt: [...sources.exempt, ...proxy.trusted],
  };
}

/** Returns null when a PROXY header before TLS names the client. */
function proxySettings({ transport, proxy }: Config): RelaySettings['proxies'] {
  const isTls = transport === 'tls';
  if (isTls && proxy.protocol) return null;
  return { trusted: proxy.trusted, header: proxy.header, excludesOthers: !isTls && !proxy.protocol };
}

/** Returns the limits of STUN. */
export function stunSettings({ stun, sources }: Config): UdpDoorSettings['stun'] {
  const { stunPer10Seconds: burst, siteFactor } = sources;
  const perSecond = stun.genericAnswersPerSecond;
  return {
    limit: burst === 0 ? null : { perSecond: burst / STUN_WINDOW_SECONDS, burst, siteFactor },
    exempt: sources.exempt,
    generic: stun.generic ? { perSecond, burst: perSecond, siteFactor } : null,
  };
}

function defaultMemory(): number {
  const constrained = process.constrainedMemory();
  // Without a limit the system reports 0 or a number beyond all memory.
  const available = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return available * MEMORY_SHARE;
}
