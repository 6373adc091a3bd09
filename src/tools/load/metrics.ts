import type { Scenario } from './plan.ts';
import { mainClass, type ClassResult, type LoadResult } from './result.ts';

/**
 * The unit of a metric: parts of 1, an index up to 1, milliseconds, a count, a count or bits per second, bytes, true or
 * false.
 */
export type MetricKind = 'share' | 'index' | 'time' | 'count' | 'rate' | 'bits' | 'bytes' | 'flag';

/** A number with a name, for conditions and programs. */
export interface Metric {
  readonly name: string;
  readonly kind: MetricKind;
  readonly scenarios: readonly Scenario[];
  /** Needs `--server-pid`. */
  readonly ofServer?: true;
  readonly help: string;
  /** Null when it was not measured. */
  value(result: LoadResult): number | null;
}

const PAIRS: readonly Scenario[] = ['throughput', 'latency', 'fairness', 'slow'];
const ALL: readonly Scenario[] = [...PAIRS, 'connections'];

/**
 * All metrics. With two classes of pairs, metrics without a class in their name are about the polite or healthy pairs.
 */
export const METRICS: readonly Metric[] = [
  main('loss', 'share', 'part of the sent packets that did not arrive', lossOf),
  main('lost', 'count', 'the same, as a number', ({ lost }) => lost),
  every('reordered', 'packets that arrived after a later one', ({ reordered }) => reordered),
  every('duplicated', 'packets that arrived more than once', ({ duplicated }) => duplicated),
  every('corrupted', 'packets that arrived with changed bytes', ({ corrupted }) => corrupted),
  every('misrouted', 'packets that arrived at the wrong client', ({ misrouted }) => misrouted),
  time('p50', 'median latency', ({ p50Ms }) => p50Ms),
  time('p90', 'latency that 90 % of the packets had at most', ({ p90Ms }) => p90Ms),
  time('p99', 'latency that 99 % of the packets had at most', ({ p99Ms }) => p99Ms),
  time('p99.9', 'latency that 99.9 % of the packets had at most', ({ p999Ms }) => p999Ms),
  time('max', 'the longest latency', ({ maxMs }) => maxMs),
  main('offered', 'rate', 'packets per second that were due', ({ offeredPerSecond }) => offeredPerSecond),
  main('delivered', 'rate', 'packets per second that arrived', ({ deliveredPerSecond }) => deliveredPerSecond),
  main('delivered-bits', 'bits', 'bits of packets per second that arrived', (of) => of.deliveredBitsPerSecond),
  main('worst-share', 'share', 'delivered part of what was due, of the worst pair', ({ worstShare }) => worstShare),
  of('fairness', 'polite-share', 'share', 'the same as worst-share: of the worst polite pair', (result) =>
    classValue(result, 'polite', ({ worstShare }) => worstShare),
  ),
  of('fairness', 'jain', 'index', "Jain's index of what the greedy pairs got: 1 when all got the same", (result) =>
    classValue(result, 'greedy', ({ jain }) => jain),
  ),
  of('fairness', 'greedy-delivered-bits', 'bits', 'bits per second that arrived of the greedy pairs', (result) =>
    classValue(result, 'greedy', ({ deliveredBitsPerSecond }) => deliveredBitsPerSecond),
  ),
  of('fairness', 'greedy-loss', 'share', 'loss of the greedy pairs', (result) => classValue(result, 'greedy', lossOf)),
  of('slow', 'stalled', 'count', 'receivers that did not read', ({ connections }) => connections.stalled),
  of('slow', 'cut', 'count', 'stalled receivers that the relay disconnected', ({ connections }) => connections.cut),
  of('connections', 'open', 'count', 'largest number of open connections', ({ timeline, connections }) =>
    Math.max(connections.open, ...timeline.map((point) => point.connections.open)),
  ),
  of('connections', 'opened', 'count', 'connections that were opened', ({ connections }) => connections.opened),
  of('connections', 'ping-p50', 'time', 'median round trip of the Pings', ({ pings }) => pings.p50Ms),
  of('connections', 'ping-p99', 'time', '99th percentile of the round trip of the Pings', ({ pings }) => pings.p99Ms),
  all('failed', 'count', 'connections that could not be opened', ({ connections }) => connections.failed),
  all('disconnects', 'count', 'connections that ended unexpectedly', ({ connections }) => connections.disconnected),
  all(
    'login-p50',
    'time',
    'time from DNS to ServerInfo that half of the logins had at most',
    ({ logins }) => logins.p50Ms,
  ),
  all(
    'login-p99',
    'time',
    'time from DNS to ServerInfo that 99 % of the logins had at most',
    ({ logins }) => logins.p99Ms,
  ),
  ofServer('server-cpu', 'share', "mean part of one CPU that the relay's process used", ({ cpuShare }) => cpuShare),
  ofServer(
    'server-rss',
    'bytes',
    "the largest resident memory of the relay's process",
    ({ rssPeakBytes }) => rssPeakBytes,
  ),
  all('generator-limited', 'flag', 'this tester, and not the relay, may have set the result', ({ generator }) =>
    generator.limits.length > 0 ? 1 : 0,
  ),
];

/** The metrics of a scenario. */
export function metricsOf(scenario: Scenario): Metric[] {
  return METRICS.filter(({ scenarios }) => scenarios.includes(scenario));
}

function lossOf({ lost, sent }: ClassResult): number {
  return sent === 0 ? 0 : lost / sent;
}

function classValue(result: LoadResult, name: string, value: (one: ClassResult) => number | null): number | null {
  const one = result.classes.find((candidate) => candidate.name === name);
  return one === undefined ? null : value(one);
}

function main(name: string, kind: MetricKind, help: string, value: (one: ClassResult) => number | null): Metric {
  return {
    ...{ name, kind, help, scenarios: PAIRS },
    value: (result) => {
      const one = mainClass(result);
      return one === null ? null : value(one);
    },
  };
}

function time(name: string, help: string, value: (latency: ClassResult['latency']) => number | null): Metric {
  return main(name, 'time', help, ({ latency }) => value(latency));
}

/** Faults of the relay count in every class. Only losses are expected for greedy pairs. */
function every(name: string, help: string, value: (one: ClassResult) => number): Metric {
  return {
    ...{ name, kind: 'count', help, scenarios: PAIRS },
    value: ({ classes }) => classes.reduce((sum, one) => sum + value(one), 0),
  };
}

function of(
  scenario: Scenario,
  name: string,
  kind: MetricKind,
  help: string,
  value: (result: LoadResult) => number | null,
): Metric {
  return { name, kind, help, scenarios: [scenario], value };
}

function all(name: string, kind: MetricKind, help: string, value: (result: LoadResult) => number | null): Metric {
  return { name, kind, help, scenarios: ALL, value };
}

function ofServer(
  name: string,
  kind: MetricKind,
  help: string,
  value: (server: NonNullable<LoadResult['server']>) => number,
): Metric {
  return {
    ...{ name, kind, help, scenarios: ALL, ofServer: true },
    value: ({ server }) => (server === null ? null : value(server)),
  };
}
