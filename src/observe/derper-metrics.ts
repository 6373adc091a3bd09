import { type Counters, DROP_REASON_NAMES, PACKET_KIND_NAMES } from './counters.ts';

/** Metrics of one name: its type, and a value for each set of labels, written as in Prometheus's text format. */
interface DerperMetric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly samples: readonly (readonly [labels: string, value: number])[];
}

/**
 * Returns the counts of this relay under Go derper's names at `/debug/varz`, so that dashboards and rules for derper
 * keep working (docs/reference/derp.md §4.13). Counts without a counterpart are left out.
 */
export function derperMetrics(counters: Counters): readonly DerperMetric[] {
  const set = (type: DerperMetric['type'], values: Readonly<Record<string, number>>): DerperMetric[] =>
    Object.entries(values).map(([name, value]) => ({ name: `derp_${name}`, type, samples: [['', value]] }));
  return [
    ...set('gauge', {
      watchers: counters.watchers,
      current_connections: counters.connections,
      current_home_connections: counters.homeConnections,
      current_notideal_connections: counters.notIdealConnections,
      clients_total: counters.localKeys + counters.remoteKeys,
      clients_local: counters.localKeys,
      clients_remote: counters.remoteKeys,
      current_dup_client_keys: counters.duplicateKeys,
      current_dup_client_conns: counters.duplicateConnections,
      average_queue_duration_ms: counters.queueDelaySeconds * 1000,
    }),
    ...set('counter', {
      total_dup_client_conns: counters.totalDuplicateConnections,
      accepts: counters.accepts,
      bytes_received: counters.bytesReceived,
      packets_received: counters.packetsReceived,
      bytes_sent: counters.bytesSent,
      packets_sent: counters.packetsSent,
      unknown_frames: counters.unknownFrames,
      home_moves_in: counters.homeMovesIn,
      home_moves_out: counters.homeMovesOut,
      got_ping: counters.pingsReceived,
      sent_pong: counters.pongsSent,
      peer_gone_disconnected_frames: counters.peerGoneDisconnectedFrames,
      peer_gone_not_here_frames: counters.peerGoneNotHereFrames,
      packets_forwarded_out: counters.packetsForwardedOut,
      packets_forwarded_in: counters.packetsForwardedIn,
      sclient_write_timeouts: counters.writeTimeouts,
      websocket_accepts: counters.websocketAccepts,
    }),
    labelled('derp_packets_received_kind', [
      ['kind="disco"', counters.discoPacketsReceived],
      ['kind="other"', counters.packetsReceived - counters.discoPacketsReceived],
    ]),
    labelled('derp_packets_dropped', drops(counters.dropPackets)),
    labelled('derp_bytes_dropped', drops(counters.dropBytes)),
    labelled('stun_requests', [
      ['disposition="success"', counters.stunSuccess],
      ['disposition="not_stun"', counters.stunNotStun],
      ['disposition="read_error"', counters.stunReadErrors],
      ['disposition="write_error"', counters.stunWriteErrors],
    ]),
    labelled('stun_addrfamily', [
      ['family="ipv4"', counters.stunIpv4],
      ['family="ipv6"', counters.stunIpv6],
    ]),
  ];
}

/** The same in Prometheus's text format. */
export function derperMetricsText(counters: Counters): string {
  return derperMetrics(counters)
    .flatMap(({ name, type, samples }) => [
      `# TYPE ${name} ${type}`,
      ...samples.map(([labels, value]) => `${name}${labels === '' ? '' : `{${labels}}`} ${value}`),
    ])
    .join('\n')
    .concat('\n');
}

function labelled(name: string, samples: DerperMetric['samples']): DerperMetric {
  return { name, type: 'counter', samples };
}

function drops(table: readonly (readonly number[])[]): DerperMetric['samples'] {
  return DROP_REASON_NAMES.flatMap((reason, i) =>
    PACKET_KIND_NAMES.map((kind, j) => [`reason="${reason}",kind="${kind}"`, table[i]![j]!] as const),
  );
}
