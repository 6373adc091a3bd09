/**
 * Observability: counters (this file) and their names as metrics (`metric-names.ts`, `metrics.ts`), the log with its
 * rate limits (`log.ts`, `event-summary.ts`), and the health behind `/readyz` (`health.ts`).
 *
 * All counts of the process are plain fields (protocol reference §4.13), so a packet costs only increments.
 * `metrics.ts` copies them out at scrape time.
 */

/** Why a packet was dropped (§4.3); the index into {@link Counters.dropPackets}. */
export const DropReason = {
  UnknownDestination: 0,
  UnknownDestinationOnForward: 1,
  GoneDisconnected: 2,
  QueueHead: 3,
  QueueTail: 4,
  WriteError: 5,
  DuplicateClient: 6,
} as const;
export type DropReason = (typeof DropReason)[keyof typeof DropReason];

/** Upstream's names, by {@link DropReason}. */
export const DROP_REASON_NAMES: readonly string[] = [
  'unknown_dest',
  'unknown_dest_on_fwd',
  'gone_disconnected',
  'queue_head',
  'queue_tail',
  'write_error',
  'dup_client',
];

/** Kinds of packets, as far as the relay can see; the second index of the drop tables. */
export const PacketKind = { Other: 0, Disco: 1 } as const;
export type PacketKind = (typeof PacketKind)[keyof typeof PacketKind];
export const PACKET_KIND_NAMES: readonly string[] = ['other', 'disco'];

/**
 * All reasons why the relay refuses or ends a connection. The names are metric labels and appear in logs, so they are
 * stable.
 */
const REFUSAL_REASONS = [
  'source_limit',
  'connection_limit',
  'descriptor_limit',
  'handshake_limit',
  'memory_limit',
  'proxy_header',
  'untrusted_proxy',
  'listener_error',
  'admin_access',
  'tls_timeout',
  'tls_error',
  'tls_closed',
  'head_timeout',
  'head_closed',
  'head_too_large',
  'head_invalid',
  'handshake_timeout',
  'handshake_closed',
  'client_info_type',
  'client_info_length',
  'client_info_key',
  'client_info_box',
  'client_info_json',
  'client_info_app',
  'app_denied',
  'not_admitted',
  'over_quota',
  'disconnected',
  'bad_frame_length',
  'frame_too_large',
  'no_mesh_rights',
  'mesh_key',
  'mesh_source',
  'close_peer',
  'key_connections',
  'write_timeout',
  'control_queue_full',
  'websocket_refused',
  'websocket_invalid',
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** Upper bounds of {@link Counters.flushSizes}: frames that one write carried. A last bucket counts larger ones. */
export const FLUSH_SIZE_BOUNDS: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 25, 50, 100];
/** Weight of the newest sample in {@link Counters.queueDelaySeconds}. */
const QUEUE_DELAY_WEIGHT = 0.1;

/** Two counts for each drop reason: `[reason][kind]`. */
function dropTable(): number[][] {
  return DROP_REASON_NAMES.map(() => PACKET_KIND_NAMES.map(() => 0));
}

/** The fields of {@link Counters} without its methods, as `structuredClone` returns them. */
export type CounterValues = Omit<Counters, 'drop' | 'flush' | 'queueDelay'>;

/** The counts and gauges of one relay thread. They are plain fields, because they are counted for each packet. */
export class Counters {
  /** Accepted DERP connections, before the handshake. */
  accepts = 0;
  websocketAccepts = 0;
  /** Kernel-accepted TCP connections on the relay's listeners. */
  tcpAccepts = 0;
  /** SendPacket payloads (keys and headers not counted). */
  packetsReceived = 0;
  bytesReceived = 0;
  /** The part of these that looks like disco packets. */
  discoPacketsReceived = 0;
  /** Packets to and from other relays of the region (ForwardPacket), without headers. */
  packetsForwardedOut = 0;
  bytesForwardedOut = 0;
  packetsForwardedIn = 0;
  bytesForwardedIn = 0;
  /** RecvPacket payloads that were queued or written. */
  packetsSent = 0;
  bytesSent = 0;
  readonly dropPackets: number[][] = dropTable();
  readonly dropBytes: number[][] = dropTable();
  unknownFrames = 0;
  pingsReceived = 0;
  pongsSent = 0;
  keepAlivesSent = 0;
  healthFramesSent = 0;
  restartingFramesSent = 0;
  peerGoneDisconnectedFrames = 0;
  peerGoneNotHereFrames = 0;
  homeMovesIn = 0;
  homeMovesOut = 0;
  writeTimeouts = 0;
  rateLimitWaits = 0;
  totalLimitWaits = 0;
  fullDestinationWaits = 0;
  /** Writes to streams and the frames they carried. */
  flushes = 0;
  flushedFrames = 0;
  /** Writes by how many frames they carried; see {@link FLUSH_SIZE_BOUNDS}. */
  readonly flushSizes: number[] = new Array<number>(FLUSH_SIZE_BOUNDS.length + 1).fill(0);
  /** Moving average of the time from the first frame that was queued to the write that took it, seconds. */
  queueDelaySeconds = 0;

  /** Gauges, set by the owner of the state. */
  connections = 0;
  homeConnections = 0;
  notIdealConnections = 0;
  /** Distinct keys that are connected here. */
  localKeys = 0;
  /** Distinct keys that are only connected to other relays of the region. */
  remoteKeys = 0;
  /** Connections that watch which keys connect and leave. */
  watchers = 0;
  duplicateKeys = 0;
  duplicateConnections = 0;
  totalDuplicateConnections = 0;
  /** Open TLS or plain streams, DERP or not. */
  openStreams = 0;

  stunSuccess = 0;
  stunNotStun = 0;
  stunRateLimited = 0;
  stunReadErrors = 0;
  stunWriteErrors = 0;
  stunIpv4 = 0;
  stunIpv6 = 0;

  /** Bugs that were caught: see `internalError`. */
  internalErrors = 0;

  bootstrapDnsRequests = 0;
  bootstrapDnsPublishedHits = 0;
  bootstrapDnsPublishedMisses = 0;
  bootstrapDnsUnpublishedHits = 0;
  bootstrapDnsUnpublishedMisses = 0;
  bootstrapDnsUnpublishedPercentMisses = 0;

  readonly tlsVersions: Record<'TLSv1.2' | 'TLSv1.3' | 'unknown', number> = { 'TLSv1.2': 0, 'TLSv1.3': 0, unknown: 0 };
  readonly refusals: Record<RefusalReason, number> = Object.fromEntries(
    REFUSAL_REASONS.map((reason) => [reason, 0]),
  ) as Record<RefusalReason, number>;

  /** Counts one dropped packet of `payloadBytes`. */
  drop(reason: DropReason, kind: PacketKind, payloadBytes: number): void {
    this.dropPackets[reason]![kind]! += 1;
    this.dropBytes[reason]![kind]! += payloadBytes;
  }

  /** Counts one write of `frames` frames. */
  flush(frames: number): void {
    this.flushes++;
    this.flushedFrames += frames;
    let bucket = Math.max(frames - 1, 0);
    if (bucket >= 10) {
      bucket = 10;
      while (bucket < FLUSH_SIZE_BOUNDS.length && frames > FLUSH_SIZE_BOUNDS[bucket]!) bucket++;
    }
    this.flushSizes[bucket]! += 1;
  }

  /** Adds one waiting time to the moving average. */
  queueDelay(ms: number): void {
    this.queueDelaySeconds += (ms / 1000 - this.queueDelaySeconds) * QUEUE_DELAY_WEIGHT;
  }
}
