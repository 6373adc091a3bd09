import type { Clock } from '../base/clock.ts';
import type { ServerVerification, TlsFacts, Transport } from '../transport/port.ts';
import type { ClientInfo, ServerInfo } from '../wire/handshake.ts';
import type { NodeKeyPair } from '../wire/keys.ts';
import type { TowpathError } from '../base/errors.ts';
import type { OutgoingFrames } from './outgoing.ts';
import type { UpgradeMode } from './upgrade-request.ts';

/** Told what a relay sends. Called directly; keys and bytes are views that are valid during the call only. */
export interface DerpClientHandler {
  /** A packet `[from, to)` of `buffer` from another node, which may also be this one. */
  packet?(source: Buffer, buffer: Buffer, from: number, to: number): void;
  /** A peer left, or is not here (`PeerGoneReason`). */
  peerGone?(key: Buffer, reason: number): void;
  /** A peer is here: for mesh connections that watch. `[from, to)` is the whole PeerPresent payload (§2.2), the key first. */
  peerPresent?(buffer: Buffer, from: number, to: number): void;
  /** The relay has a problem; empty when it is well again. */
  health?(problem: string): void;
  /** The relay is about to restart. */
  restarting?(reconnectInMs: number, tryForMs: number): void;
  /** After a send was refused for a full queue: there is room again. */
  drained?(): void;
  /** The connection is gone, once and last; null when `close` was called. */
  closed?(error: TowpathError | null): void;
}

/** How to connect to a relay. */
export interface DerpClientOptions {
  readonly transport: Transport;
  /** Serves read and ping deadlines; somebody else starts it. */
  readonly clock: Clock;
  /** `https://host[:port]/derp`, or `http://` for no TLS. */
  readonly url: string;
  /** A throw-away pair when not given. */
  readonly keys?: NodeKeyPair;
  /** The system's authorities and the URL's host when not given. */
  readonly verify?: ServerVerification;
  /** SNI; the URL's host when not given, and none for an IP. */
  readonly serverName?: string;
  /** Connect to this IP instead of looking up the URL's host. */
  readonly ipOverride?: string;
  /** Frames in WebSocket messages (§1.6). */
  readonly websocket?: boolean;
  /** Use fast start when the relay shows its key in TLS 1.3 (§1.5); on when not given. */
  readonly fastStart?: boolean;
  /** Name of the region's first node, when this is not the one (§1.1). */
  readonly idealNode?: string;
  /** What to say in ClientInfo; `canAckPings` is on when not given. */
  readonly info?: Partial<ClientInfo>;
  /** From DNS to ServerInfo. 10 s when not given. */
  readonly timeoutMs?: number;
  /** Bytes that may wait to be written. 256 KiB when not given. */
  readonly queueBytes?: number;
  /** What waits to be written, in place of a queue of `queueBytes`; it may hold frames already. */
  readonly outgoing?: OutgoingFrames;
  readonly handler?: DerpClientHandler;
}

/** What was learned while connecting. Times are milliseconds since the start of the connect. */
export interface DerpConnectFacts {
  readonly mode: UpgradeMode;
  readonly tls: TlsFacts | null;
  readonly remoteIp: string;
  readonly serverKey: Buffer;
  readonly serverInfo: ServerInfo;
  readonly tcpMs: number;
  readonly tlsMs: number;
  /** The response head is read; in fast start, the first byte of the greeting. */
  readonly upgradeMs: number;
  /** ServerInfo was opened. */
  readonly openMs: number;
}
