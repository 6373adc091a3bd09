import type { Counters } from './counters.ts';

/** How a number field of {@link Counters} is published. Fields with the same name have different labels. */
export interface FieldMetric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  /** A sentence. Of fields with the same name, the first one's is used. */
  readonly help: string;
  readonly labels?: Readonly<Record<string, string>>;
}

type NumberField = { [K in keyof Counters]: Counters[K] extends number ? K : never }[keyof Counters];
/** These two make one metric with the label `kind`, see `metrics.ts`. */
type ComputedField = 'packetsReceived' | 'discoPacketsReceived';

/** The metric name of every plain field. The type checks that none is missing. */
export const FIELD_METRICS: Readonly<Record<Exclude<NumberField, ComputedField>, FieldMetric>> = {
  accepts: counter('towpath_accepts_total', 'Upgrades to DERP that were accepted, before their handshake.'),
  websocketAccepts: counter('towpath_websocket_accepts_total', 'Accepted DERP connections that came as WebSockets.'),
  tcpAccepts: counter('towpath_tcp_accepts_total', 'TCP connections that the listeners of the relay accepted.'),
  internalErrors: counter('towpath_internal_errors_total', 'Bugs that were caught; the log has them.'),
  bytesReceived: counter(
    'towpath_bytes_received_total',
    'Payload bytes of the packets that clients sent to be relayed.',
  ),
  packetsSent: counter('towpath_packets_sent_total', 'Packets that were written to a client or queued for writing.'),
  bytesSent: counter(
    'towpath_bytes_sent_total',
    'Payload bytes of the packets that were written to a client or queued for writing.',
  ),
  packetsForwardedOut: labelled(
    'towpath_forwarded_packets_total',
    { direction: 'out' },
    'Packets that went to another relay of the region for its client (out), or came from one for a client of this relay (in).',
  ),
  packetsForwardedIn: labelled('towpath_forwarded_packets_total', { direction: 'in' }),
  bytesForwardedOut: labelled(
    'towpath_forwarded_bytes_total',
    { direction: 'out' },
    'Payload bytes of the packets that went to or came from other relays of the region.',
  ),
  bytesForwardedIn: labelled('towpath_forwarded_bytes_total', { direction: 'in' }),
  unknownFrames: counter('towpath_unknown_frames_total', 'Frames of unknown types, which were skipped.'),
  pingsReceived: counter('towpath_pings_received_total', 'Ping frames from clients.'),
  pongsSent: counter('towpath_pongs_sent_total', 'Pong frames to clients.'),
  keepAlivesSent: counter('towpath_keep_alives_sent_total', 'KeepAlive frames to clients.'),
  healthFramesSent: counter('towpath_health_frames_sent_total', 'Health frames to clients.'),
  restartingFramesSent: counter('towpath_restarting_frames_sent_total', 'Restarting frames to clients.'),
  peerGoneDisconnectedFrames: labelled(
    'towpath_peer_gone_frames_total',
    { reason: 'disconnected' },
    'PeerGone frames to clients by reason.',
  ),
  peerGoneNotHereFrames: labelled('towpath_peer_gone_frames_total', { reason: 'not_here' }),
  homeMovesIn: labelled(
    'towpath_home_moves_total',
    { direction: 'in' },
    'Clients that made this server their home, or left it for another.',
  ),
  homeMovesOut: labelled('towpath_home_moves_total', { direction: 'out' }),
  writeTimeouts: counter(
    'towpath_write_timeouts_total',
    'Connections that were closed because the client read nothing for too long.',
  ),
  rateLimitWaits: counter(
    'towpath_rate_limit_waits_total',
    'Times that reading from a client waited for its rate limit.',
  ),
  totalLimitWaits: counter(
    'towpath_total_limit_waits_total',
    'Times that reading from a client waited for its share of the total of the relay.',
  ),
  fullDestinationWaits: counter(
    'towpath_full_destination_waits_total',
    'Times that reading from a client waited because a destination was full.',
  ),
  flushes: counter('towpath_flushes_total', 'Writes to streams.'),
  queueDelaySeconds: gauge(
    'towpath_queue_delay_average_seconds',
    'Moving average of the time from queueing the first frame to the write that took it.',
  ),
  flushedFrames: counter('towpath_flushed_frames_total', 'Frames that the writes to streams carried.'),
  connections: gauge('towpath_connections', 'DERP connections that are open.'),
  homeConnections: gauge('towpath_home_connections', 'DERP connections whose client has its home here.'),
  notIdealConnections: gauge(
    'towpath_not_ideal_connections',
    'DERP connections whose client would rather be on another node of the region.',
  ),
  localKeys: gauge('towpath_local_keys', 'Distinct client keys that are connected here.'),
  remoteKeys: gauge(
    'towpath_remote_keys',
    'Distinct client keys that are only connected to other relays of the region.',
  ),
  watchers: gauge(
    'towpath_watchers',
    'Connections with the mesh key that get messages about which clients connect and leave.',
  ),
  duplicateKeys: gauge('towpath_duplicate_keys', 'Client keys with more than one connection.'),
  duplicateConnections: gauge('towpath_duplicate_connections', 'Connections of client keys with more than one.'),
  totalDuplicateConnections: counter(
    'towpath_duplicate_connections_seen_total',
    'Connections of a key that was already connected.',
  ),
  openStreams: gauge('towpath_open_streams', 'Open streams, DERP or not.'),
  stunSuccess: labelled('towpath_stun_requests_total', { disposition: 'success' }, 'STUN datagrams by result.'),
  stunNotStun: labelled('towpath_stun_requests_total', { disposition: 'not_stun' }),
  stunRateLimited: labelled('towpath_stun_requests_total', { disposition: 'rate_limited' }),
  stunReadErrors: labelled('towpath_stun_requests_total', { disposition: 'read_error' }),
  stunWriteErrors: labelled('towpath_stun_requests_total', { disposition: 'write_error' }),
  stunIpv4: labelled(
    'towpath_stun_address_family_total',
    { family: 'ipv4' },
    'Answered STUN requests by address family.',
  ),
  stunIpv6: labelled('towpath_stun_address_family_total', { family: 'ipv6' }),
  bootstrapDnsRequests: counter('towpath_bootstrap_dns_requests_total', 'Requests to bootstrap DNS.'),
  bootstrapDnsPublishedHits: labelled(
    'towpath_bootstrap_dns_queries_total',
    { result: 'published_hit' },
    'Names that bootstrap DNS was asked for, by result. A percent miss is counted besides the others.',
  ),
  bootstrapDnsPublishedMisses: labelled('towpath_bootstrap_dns_queries_total', { result: 'published_miss' }),
  bootstrapDnsUnpublishedHits: labelled('towpath_bootstrap_dns_queries_total', { result: 'unpublished_hit' }),
  bootstrapDnsUnpublishedMisses: labelled('towpath_bootstrap_dns_queries_total', { result: 'unpublished_miss' }),
  bootstrapDnsUnpublishedPercentMisses: labelled('towpath_bootstrap_dns_queries_total', {
    result: 'unpublished_percent_miss',
  }),
};

function counter(name: string, help: string): FieldMetric {
  return { name, type: 'counter', help };
}

function gauge(name: string, help: string): FieldMetric {
  return { name, type: 'gauge', help };
}

function labelled(name: string, labels: Readonly<Record<string, string>>, help = ''): FieldMetric {
  return { name, type: 'counter', help, labels };
}
