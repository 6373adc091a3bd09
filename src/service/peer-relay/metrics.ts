import type { MetricDefinition, Sample } from '../../observe/metrics.ts';
import { DoorCount, type DoorCountName } from '../../relay/udp/door-counts.ts';
import type { UdpDoor } from '../../relay/udp/door.ts';
import type { UdpRelaySnapshot } from '../../relay/udp/snapshot.ts';
import { NodePhase } from '../../tailnet/node.ts';
import type { RelayTailnet } from './relay-tailnet.ts';

interface MetricSources {
  /** At most a second old. */
  readonly snapshot: () => UdpRelaySnapshot | null;
  readonly door: () => UdpDoor | null;
  readonly tailnets: readonly RelayTailnet[];
}

/** The counts of the door, by the label of the metric. */
const SEND_PROBLEMS: Readonly<Record<string, DoorCountName>> = {
  blocked: 'sendBlocked',
  refused: 'sendRefused',
  unreachable: 'sendUnreachable',
  too_long: 'sendTooLong',
  failed: 'sendFailed',
};

const EVENTS: Readonly<Record<string, DoorCountName>> = {
  turn: 'turns',
  truncated: 'truncated',
  segments_refused: 'segmentsRefused',
  segments_too_long: 'segmentsTooLong',
  source_gone: 'sourceGone',
  socket_down: 'socketDown',
  socket_error: 'socketErrors',
  socket_reopened: 'socketsReopened',
};

/** Returns the metrics of the peer relay. */
export function peerRelayMetrics({ snapshot, door, tailnets }: MetricSources): MetricDefinition[] {
  return [...endpointMetrics(snapshot), ...doorMetrics(door), ...tailnetMetrics(tailnets)];
}

/** Returns the metrics of endpoints and of forwarded packets. They have the labels of upstream's. */
function endpointMetrics(snapshot: MetricSources['snapshot']): MetricDefinition[] {
  const of = (read: (from: UdpRelaySnapshot) => Iterable<Sample>) => (): Iterable<Sample> => {
    const latest = snapshot();
    return latest === null ? [] : read(latest);
  };
  const forwarded = (what: 'packets' | 'bytes') =>
    of(({ forwarded: pairs }) =>
      pairs.map((pair): Sample => [{ transport_in: pair.transportIn, transport_out: pair.transportOut }, pair[what]]),
    );
  return [
    {
      name: 'towpath_peer_relay_endpoints',
      help: 'Endpoints of the peer relay: connecting until both clients are bound, then open.',
      type: 'gauge',
      labels: ['state'],
      read: of(({ connecting, open }) => [
        [{ state: 'connecting' }, connecting],
        [{ state: 'open' }, open],
      ]),
    },
    {
      name: 'towpath_peer_relay_forwarded_packets_total',
      help: 'Datagrams that the peer relay forwarded, by the IP version on both sides.',
      type: 'counter',
      labels: ['transport_in', 'transport_out'],
      read: forwarded('packets'),
    },
    {
      name: 'towpath_peer_relay_forwarded_bytes_total',
      help: 'UDP payload bytes that the peer relay forwarded, by the IP version on both sides.',
      type: 'counter',
      labels: ['transport_in', 'transport_out'],
      read: forwarded('bytes'),
    },
    {
      name: 'towpath_peer_relay_dropped_packets_total',
      help: 'Datagrams that the peer relay dropped, by reason.',
      type: 'counter',
      labels: ['reason'],
      read: of(({ drops }) => Object.entries(drops).map(([reason, count]): Sample => [{ reason }, count])),
    },
    {
      name: 'towpath_peer_relay_handshake_steps_total',
      help: 'Challenges that the peer relay sent, and addresses of clients that it bound.',
      type: 'counter',
      labels: ['step'],
      read: of(({ challenges, bindings }) => [
        [{ step: 'challenge' }, challenges],
        [{ step: 'bound' }, bindings],
      ]),
    },
  ];
}

function doorMetrics(door: MetricSources['door']): MetricDefinition[] {
  const doorCount = (name: DoorCountName): number => door()?.counts[DoorCount[name]] ?? 0;
  return [
    {
      name: 'towpath_peer_relay_send_problems_total',
      help: 'Sends of the UDP door that failed, by reason.',
      type: 'counter',
      labels: ['reason'],
      read: () => Object.entries(SEND_PROBLEMS).map(([reason, name]): Sample => [{ reason }, doorCount(name)]),
    },
    {
      name: 'towpath_udp_door_batches_total',
      help: 'Messages that the UDP door received from the kernel or gave to it; one may hold several datagrams.',
      type: 'counter',
      labels: ['direction'],
      read: () => [
        [{ direction: 'in' }, doorCount('receivedBatches')],
        [{ direction: 'out' }, doorCount('sentBatches')],
      ],
    },
    {
      name: 'towpath_udp_door_bytes_total',
      help: 'Bytes of UDP payload that the UDP door received and sent, STUN and handshakes included.',
      type: 'counter',
      labels: ['direction'],
      read: () => [
        [{ direction: 'in' }, doorCount('receivedBytes')],
        [{ direction: 'out' }, doorCount('sentBytes')],
      ],
    },
    {
      name: 'towpath_udp_door_events_total',
      help: 'What happened to the sockets of the UDP door, by event.',
      type: 'counter',
      labels: ['event'],
      read: () => Object.entries(EVENTS).map(([event, name]): Sample => [{ event }, doorCount(name)]),
    },
    {
      name: 'towpath_peer_relay_kernel_dropped_packets_total',
      help: 'Datagrams that the kernel dropped because the UDP door was behind.',
      type: 'counter',
      labels: [],
      read: () => [[{}, doorCount('kernelDropped')]],
    },
  ];
}

function tailnetMetrics(tailnets: MetricSources['tailnets']): MetricDefinition[] {
  return [
    {
      name: 'towpath_peer_relay_requests_total',
      help: 'Packets that nodes of a tailnet sent to the node of the relay, by result.',
      type: 'counter',
      labels: ['tailnet', 'outcome'],
      read: () =>
        tailnets.flatMap(({ node, relay }) =>
          Object.entries(relay.counts).map(([outcome, count]): Sample => [
            { tailnet: node.settings.name, outcome },
            count,
          ]),
        ),
    },
    {
      name: 'towpath_peer_relay_tailnet_phase',
      help: 'What the node of each tailnet is doing: 1 for its present phase.',
      type: 'gauge',
      labels: ['tailnet', 'phase'],
      read: () =>
        tailnets.flatMap(({ node }) =>
          Object.values(NodePhase).map((phase): Sample => [
            { tailnet: node.settings.name, phase },
            node.phase === phase ? 1 : 0,
          ]),
        ),
    },
    {
      name: 'towpath_peer_relay_peers',
      help: 'Nodes in the network map of each tailnet.',
      type: 'gauge',
      labels: ['tailnet'],
      read: () => tailnets.map(({ node }): Sample => [{ tailnet: node.settings.name }, node.netmap.peerCount]),
    },
  ];
}
