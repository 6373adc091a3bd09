/**
 * The settings of a relay: plain data, which `structuredClone` copies to another thread. The service makes them from
 * the configuration (`service/relay-settings.ts`).
 */
import type { ForwardedHeader } from '../wire/forwarded.ts';
import type { FrontDoorLimits } from './door/front-door.ts';
import type { GuardLimits } from './door/source-guard.ts';
import type { FairnessSettings } from './fairness/shares.ts';
import type { MeshSettings } from './mesh/mesh.ts';
import type { DuplicatePolicy } from './routing/duplicates.ts';
import type { RouterLimits } from './routing/router.ts';
import type { SessionLimits } from './session/context.ts';

export interface RelaySettings {
  /** Number of relay threads, which share the ports and the limits of the process; 1: this is the only one. */
  readonly threads: number;
  /** The private key of the relay: 32 bytes. */
  readonly privateKey: Uint8Array;
  readonly limits: SessionLimits & FrontDoorLimits & RouterLimits;
  /** Memory of all outboxes together, in bytes. */
  readonly totalQueueBytes: number;
  /** Memory of the process in bytes above which no more connections are accepted; 0: no limit. */
  readonly memoryBytes: number;
  /** Limits of new connections. `exempt` has networks as canonical text. */
  readonly guard: Omit<GuardLimits, 'exempt'> & { readonly exempt: readonly string[] };
  /** Proxies that name their client in a header of HTTP; null: there are none. */
  readonly proxies: ProxySettings | null;
  readonly front: FrontSettings;
  readonly live: LiveSettings;
}

/** The part that {@link Relay.apply} can change while the relay runs. */
export interface LiveSettings {
  readonly duplicates: DuplicatePolicy;
  /** Names of programs that are refused. */
  readonly deniedApps: readonly string[];
  readonly fairness: FairnessSettings;
  readonly mesh: MeshSettings;
}

interface ProxySettings {
  /** Networks as canonical text. */
  readonly trusted: readonly string[];
  readonly header: ForwardedHeader;
  /** Whether only these proxies may connect. */
  readonly excludesOthers: boolean;
}

/** Options of public listeners, besides their address. */
export interface FrontSettings {
  readonly tlsHandshakeMs: number;
  /** The PROXY protocol before TLS; null: it is not used. `trusted` has networks as canonical text. */
  readonly proxyProtocol: {
    readonly trusted: readonly string[];
    readonly timeoutMs: number;
    readonly allowsDirect: boolean;
  } | null;
}
