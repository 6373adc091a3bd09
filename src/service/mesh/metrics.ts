import type { MetricDefinition, Sample } from '../../observe/metrics.ts';
import { LinkState, type LinkSnapshot } from '../../relay/mesh/snapshot.ts';

/** A metric with one value per link. */
interface LinkMetric {
  readonly name: string;
  readonly help: string;
  readonly type: MetricDefinition['type'];
  readonly value: (link: LinkSnapshot) => number | null;
}

const LINK_METRICS: readonly LinkMetric[] = [
  {
    name: 'towpath_mesh_link_up',
    help: '1 while packets get through to the other relay of the region, else 0.',
    type: 'gauge',
    value: ({ state }) => (state === LinkState.Open ? 1 : 0),
  },
  {
    name: 'towpath_mesh_link_round_trip_seconds',
    help: 'The latest round trip to the other relay; absent while there is none.',
    type: 'gauge',
    value: ({ roundTripMs }) => (roundTripMs === null ? null : roundTripMs / 1000),
  },
  {
    name: 'towpath_mesh_link_keys',
    help: 'Client keys that the other relay has told of.',
    type: 'gauge',
    value: ({ keys }) => keys,
  },
  {
    name: 'towpath_mesh_link_refused_keys_total',
    help: 'Client keys of the other relay that were not entered because it has told of too many.',
    type: 'counter',
    value: ({ refusedKeys }) => refusedKeys,
  },
  {
    name: 'towpath_mesh_link_queued_bytes',
    help: 'Bytes that wait to be written to the other relay.',
    type: 'gauge',
    value: ({ queuedBytes }) => queuedBytes,
  },
  {
    name: 'towpath_mesh_link_connects_total',
    help: 'Connections to the other relay that were made.',
    type: 'counter',
    value: ({ connects }) => connects,
  },
  {
    name: 'towpath_mesh_link_dropped_packets_total',
    help: 'Packets for the other relay that were dropped because it read too slowly, or was not connected for too long.',
    type: 'counter',
    value: ({ droppedPackets }) => droppedPackets,
  },
  {
    name: 'towpath_mesh_link_dropped_bytes_total',
    help: 'Payload bytes of the packets for the other relay that were dropped.',
    type: 'counter',
    value: ({ droppedBytes }) => droppedBytes,
  },
];

/** Returns the metrics of the links to other relays, without links to this relay itself. */
export function meshMetrics(links: () => readonly LinkSnapshot[]): MetricDefinition[] {
  const others = (): LinkSnapshot[] =>
    links().filter(({ state }) => state !== LinkState.Self && state !== LinkState.Duplicate);
  const labels = ['relay', 'address'];
  const of = ({ name, address }: LinkSnapshot): Record<string, string> => ({ relay: name, address });
  return [
    ...LINK_METRICS.map(({ value, ...metric }): MetricDefinition => ({
      ...metric,
      labels,
      read: () =>
        others().flatMap((link): Sample[] => {
          const number = value(link);
          return number === null ? [] : [[of(link), number]];
        }),
    })),
    {
      name: 'towpath_mesh_link_failures_total',
      help: 'Times that a link to the other relay failed or ended, by reason.',
      type: 'counter',
      labels: [...labels, 'reason'],
      read: () =>
        others().flatMap((link) =>
          Object.entries(link.failures).map(([reason, count]): Sample => [{ ...of(link), reason }, count]),
        ),
    },
  ];
}
