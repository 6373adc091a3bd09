import { performance } from 'node:perf_hooks';
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import { type Counters, DROP_REASON_NAMES, FLUSH_SIZE_BOUNDS, PACKET_KIND_NAMES } from './counters.ts';
import type { Health } from './health.ts';
import { FIELD_METRICS, type FieldMetric } from './metric-names.ts';

export interface MetricsOptions {
  readonly counters: Counters;
  readonly version: string;
  /** The runtime and its version, for example `node 24.11.0`. */
  readonly runtime: string;
  readonly health?: Health;
  /** When the certificate in use expires, in milliseconds since 1970; null while there is none. */
  readonly certificateExpiry?: () => number | null;
  /** Distinct names that `/bootstrap-dns` was asked for lately. */
  readonly bootstrapDnsQueriedNames?: () => number;
  /** Metrics of parts that keep their own counts. */
  readonly more?: readonly MetricDefinition[];
}

/** Metrics that cost milliseconds per scrape with many sockets. */
const EXPENSIVE = [
  'process_open_fds',
  'nodejs_active_handles',
  'nodejs_active_handles_total',
  'nodejs_active_resources',
  'nodejs_active_resources_total',
  'nodejs_active_requests',
  'nodejs_active_requests_total',
];
/** Metrics whose names end in their types, which `promtool check metrics` refuses. Our own gauge replaces them. */
const MISNAMED = ['nodejs_eventloop_utilization_summary', 'nodejs_eventloop_utilization_histogram'];
/** Metrics that `LoopDelay` provides at a tenth of the cost. */
const LOOP_DELAYS = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'].map(
  (name) => `nodejs_eventloop_lag_${name}_seconds`,
);
/** Longest time of a timer, which samples the misnamed metrics. */
const NEVER_MS = 2_147_483_647;

/**
 * Makes the registry of all metrics of the process. The counts are copied out of `counters` at scrape time, so that
 * counting costs nothing more than an increment.
 */
export function createMetrics(options: MetricsOptions): Registry {
  const registry = new Registry();
  registerFields(registry, options.counters);
  registerTables(registry, options.counters);
  registerState(registry, options);
  collectDefaultMetrics({
    register: registry,
    eventLoopUtilizationTimeout: NEVER_MS,
    eventLoopMonitoringPrecision: NEVER_MS,
  });
  for (const name of [...EXPENSIVE, ...MISNAMED, ...LOOP_DELAYS]) registry.removeSingleMetric(name);
  for (const definition of options.more ?? []) register(registry, definition);
  return registry;
}

/** One value of a metric. */
export type Sample = readonly [labels: Record<string, string>, value: number];

/** A metric whose values are read at scrape time. */
export interface MetricDefinition {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly labels: readonly string[];
  readonly read: () => Iterable<Sample>;
}

function register(registry: Registry, definition: MetricDefinition): void {
  const { name, help, read } = definition;
  const settings = { name, help, labelNames: definition.labels, registers: [registry] };
  if (definition.type === 'counter') {
    new Counter({
      ...settings,
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.inc(labels, value);
      },
    });
  } else {
    new Gauge({
      ...settings,
      collect() {
        this.reset();
        // A gauge without labels would otherwise show 0 while there is nothing to show.
        if (definition.labels.length === 0) this.remove();
        for (const [labels, value] of read()) this.set(labels, value);
      },
    });
  }
}

/** The plain number fields; those with the same metric name become one metric with a label. */
function registerFields(registry: Registry, counters: Counters): void {
  const byName = Map.groupBy(
    Object.entries(FIELD_METRICS) as [keyof typeof FIELD_METRICS, FieldMetric][],
    ([, m]) => m.name,
  );
  for (const [name, members] of byName) {
    const { help, type, labels } = members[0]![1];
    register(registry, {
      name,
      help,
      type,
      labels: Object.keys(labels ?? {}),
      read: () => members.map(([field, metric]): Sample => [metric.labels ?? {}, counters[field]]),
    });
  }
}

function registerTables(registry: Registry, counters: Counters): void {
  const drops = (table: number[][]) => (): Sample[] =>
    DROP_REASON_NAMES.flatMap((reason, i) =>
      PACKET_KIND_NAMES.map((kind, j): Sample => [{ reason, kind }, table[i]![j]!]),
    );
  register(registry, {
    name: 'towpath_packets_dropped_total',
    help: 'Packets that were not relayed, by reason and by whether they look like disco packets.',
    type: 'counter',
    labels: ['reason', 'kind'],
    read: drops(counters.dropPackets),
  });
  register(registry, {
    name: 'towpath_bytes_dropped_total',
    help: 'Payload bytes of packets that were not relayed, by reason and kind.',
    type: 'counter',
    labels: ['reason', 'kind'],
    read: drops(counters.dropBytes),
  });
  register(registry, {
    name: 'towpath_packets_received_total',
    help: 'Packets that clients sent to be relayed, by whether they look like disco packets.',
    type: 'counter',
    labels: ['kind'],
    read: () => [
      [{ kind: 'disco' }, counters.discoPacketsReceived],
      [{ kind: 'other' }, counters.packetsReceived - counters.discoPacketsReceived],
    ],
  });
  register(registry, {
    name: 'towpath_flushes_by_size_total',
    help: 'Writes to streams by how many frames they carried: up to `frames`, and more than the bound before it.',
    type: 'counter',
    labels: ['frames'],
    read: () =>
      counters.flushSizes.map((count, i): Sample => [{ frames: String(FLUSH_SIZE_BOUNDS[i] ?? 'more') }, count]),
  });
  register(registry, {
    name: 'towpath_refusals_total',
    help: 'Connections that this server refused or closed, by reason.',
    type: 'counter',
    labels: ['reason'],
    read: () => Object.entries(counters.refusals).map(([reason, value]): Sample => [{ reason }, value]),
  });
  register(registry, {
    name: 'towpath_tls_connections_total',
    help: 'Completed TLS handshakes by TLS version.',
    type: 'counter',
    labels: ['version'],
    read: () => Object.entries(counters.tlsVersions).map(([version, value]): Sample => [{ version }, value]),
  });
}

function registerState(registry: Registry, options: MetricsOptions): void {
  const { version, runtime, health, certificateExpiry, bootstrapDnsQueriedNames } = options;
  register(registry, {
    name: 'towpath_build_info',
    help: 'Always 1; the labels tell the version of this server and what runs it.',
    type: 'gauge',
    labels: ['version', 'runtime'],
    read: () => [[{ version, runtime }, 1]],
  });
  let loopBefore = performance.eventLoopUtilization();
  register(registry, {
    name: 'towpath_event_loop_utilization_ratio',
    help: 'Part of the time since the last scrape in which the event loop had work to do.',
    type: 'gauge',
    labels: [],
    read: () => {
      const loopNow = performance.eventLoopUtilization();
      const { utilization, idle, active } = performance.eventLoopUtilization(loopNow, loopBefore);
      loopBefore = loopNow;
      // Bun does not measure it, and a constant 0 would be wrong.
      return idle + active > 0 ? [[{}, utilization]] : [];
    },
  });
  if (health !== undefined) {
    register(registry, {
      name: 'towpath_ready',
      help: '1 when the server is ready for clients, else 0.',
      type: 'gauge',
      labels: [],
      read: () => [[{}, health.ready ? 1 : 0]],
    });
  }
  if (certificateExpiry !== undefined) {
    register(registry, {
      name: 'towpath_certificate_expiry_seconds',
      help: 'Seconds until the certificate in use expires; absent while there is none.',
      type: 'gauge',
      labels: [],
      read: () => {
        const expiry = certificateExpiry();
        return expiry === null ? [] : [[{}, (expiry - Date.now()) / 1000]];
      },
    });
  }
  if (bootstrapDnsQueriedNames !== undefined) {
    register(registry, {
      name: 'towpath_bootstrap_dns_queried_names',
      help: 'Distinct names in recent requests to bootstrap DNS.',
      type: 'gauge',
      labels: [],
      read: () => [[{}, bootstrapDnsQueriedNames()]],
    });
  }
}
