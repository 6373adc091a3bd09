import type { Clock } from '../base/clock.ts';
import type { ServerVerification, TlsFacts, Transport } from '../transport/port.ts';
import type { ClientInfo, ServerInfo } from '../wire/handshake.ts';
import type { NodeKeyPair } from '../wire/keys.ts';
import type { TowpathError } from '../base/errors.ts';
import type { OutgoingFrames } from './outgoing.ts';
import type { UpgradeMode } from './upgrade-request.ts';

/** Receives what a relay sends. Keys and bytes are views that are valid only during the call. */
export interface DerpClientHandler {
  /** A packet, `[from, to)` of `buffer`. Its source may be this client itself. */
  packet?(source: Buffer, buffer: Buffer, from: number, to: number): void;
  /** A peer has left, or is not connected (`PeerGoneReason`). */
  peerGone?(key: Buffer, reason: number): void;
  /** A peer is here: for mesh connections that watch. `[from, to)` is the whole PeerPresent payload (§2.2), the key first. */
  peerPresent?(buffer: Buffer, from: number, to: number): void;
  /** The relay has a problem; empty when the problem is solved. */
  health?(problem: string): void;
  /** The relay is about to restart. */
  restarting?(reconnectInMs: number, tryForMs: number): void;
  /** The queue has room again, after a send was refused because it was full. */
  drained?(): void;
  /** The connection has ended. Called once and last; null when `close` was called. */
  closed?(error: TowpathError | null): void;
}

/** How to connect to a relay. */
export interface DerpClientOptions {
  readonly transport: Transport;
  /** Serves read and ping deadlines. The caller starts it. */
  readonly clock: Clock;
  /** `https://host[:port]/derp`, or `http://` for no TLS. */
  readonly url: string;
  /** A new random pair when not given. */
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
  /** Name of the region's first node, when this is another node (§1.1). */
  readonly idealNode?: string;
  /** Fields of ClientInfo; `canAckPings` is true when not given. */
  readonly info?: Partial<ClientInfo>;
  /** Time limit from DNS to ServerInfo. 10 s when not given. */
  readonly timeoutMs?: number;
  /** Bytes that may wait to be written. 256 KiB when not given. */
  readonly queueBytes?: number;
  /** The caller's own queue, instead of one of `queueBytes`. It may already hold frames. */
  readonly outgoing?: OutgoingFrames;
  readonly handler?: DerpClientHandler;
}

/** Facts of the connect. Times are milliseconds since its start. */
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
