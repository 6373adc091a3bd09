import { DISTURBED, FOREIGN_SHARE, Fresh, GENERATOR_LIMITED, ORDINARY } from './case.ts';
import type { Case, Metric, RoundContext, Sample } from './case.ts';
import { runGenerator, type LoadResult, type LoadWindow } from './programs.ts';
import { ServerName } from './server.ts';
import { summarize } from './statistics.ts';

export const CPU: Metric = { key: 'cpuUs', title: 'CPU µs/packet', digits: 2, ratio: true };
export const RATE: Metric = { key: 'kpps', title: 'kpackets/s', digits: 1, ratio: false };
export const LOST: Metric = { key: 'lostPercent', title: 'lost %', digits: 2, ratio: false };
export const P50: Metric = { key: 'p50Us', title: 'p50 µs', digits: 0, ratio: false };
export const P99: Metric = { key: 'p99Us', title: 'p99 µs', digits: 0, ratio: true };
const OVERLOADED: readonly Metric[] = [
  { key: 'ofCeilingPercent', title: 'delivered, % of closed loop', digits: 0, ratio: false },
  { key: 'offeredPercent', title: 'offered, % of closed loop', digits: 0, ratio: false },
  ...[RATE, LOST, CPU, { key: 'pongP99Us', title: 'ping p99 µs', digits: 0, ratio: true }],
  { key: 'loopDelayP99Ms', title: 'loop delay p99 ms', digits: 1, ratio: false },
  { key: 'rssPeakMiB', title: 'peak RSS MiB', digits: 0, ratio: false },
];
/** Most bytes of large packets under way per pair: less than the queue of each server holds. */
const LARGE_WINDOW_BYTES = 200_000;

type Flags = (context: RoundContext, server: ServerName) => string[];

/** The loads that have bars. */
export const mainLoads: readonly Case[] = [
  closedCase('closed', '1200 bytes, a record per packet, 10 pairs, closed loop of 44', {}),
  load('paced', '20 000 packets/s evenly spaced, 10 pairs', [CPU, LOST, P50, P99], () => [
    ...['-mode', 'rate', '-rate', '20000', '-records-per-write', '1'],
  ]),
  load('coalesced', '11 packets in a record, 10 pairs, closed loop of 176', [CPU, RATE, LOST], () => [
    ...['-mode', 'closed', '-frames-per-record', '11', '-records-per-write', '1', '-window', '176'],
  ]),
  {
    ...load('flood', '10 senders as fast as their sockets take it', OVERLOADED, () => ['-mode', 'flood', '-probe']),
    ...{ needsCeiling: true, loopDelay: true },
  },
];

/** Further loads, which show for which sizes and rates the figures of the main loads are valid. */
export const moreLoads: readonly Case[] = [
  load('paced-100', '60 000 packets/s evenly spaced, 100 pairs', [CPU, LOST, P50, P99], () => [
    ...['-mode', 'rate', '-rate', '60000', '-pairs', '100', '-records-per-write', '1'],
  ]),
  latencyCase(50, Fresh.WhenFull),
  ...[20, 80].map((percent) => latencyCase(percent, Fresh.PerRound)),
  ...[1.5, 3].map(overloadCase),
  ...[64, 1400, 16_384, 65_536].map((size) =>
    closedCase(
      `size-${size}`,
      `${size} bytes, 10 pairs, closed loop, ${isLarge(size) ? 1 : 11} packet${isLarge(size) ? '' : 's'} per system call`,
      { size },
    ),
  ),
  ...[1, 100].map((pairs) =>
    closedCase(`pairs-${pairs}`, `1200 bytes, ${pairs} pair${pairs === 1 ? '' : 's'}, closed loop of 44`, { pairs }),
  ),
];

/** Measures the cost of counting: the relay with and without it. */
export const counterCase: Case = {
  ...closedCase('counters', 'as closed, the relay with and without counting per packet', {}),
  fresh: Fresh.Always,
  servers: [ServerName.Node, ServerName.NodeUncounted, ServerName.Bun, ServerName.BunUncounted],
};

/** Returns whether packets of this size are too large for several in one system call. */
function isLarge(size: number): boolean {
  return size > 1400;
}

function closedCase(name: string, title: string, { size = 1200, pairs = 10 }: { size?: number; pairs?: number }): Case {
  const large = isLarge(size);
  const window = large ? Math.floor(LARGE_WINDOW_BYTES / (size + 37)) : 44;
  const made = load(name, title, [CPU, RATE, LOST], () => [
    ...['-mode', 'closed', '-size', String(size), '-pairs', String(pairs), '-window', String(window)],
    ...['-records-per-write', large ? '1' : '11'],
  ]);
  return name === 'closed' ? made : { ...made, fresh: Fresh.PerRound };
}

/** All servers get the same rate, a share of the rate of the slowest server, because their latencies are compared. */
function latencyCase(percent: number, fresh: Fresh): Case {
  const made = load(
    `latency-${percent}`,
    `${percent} % of the lowest closed-loop rate of the round, the same for all, in writes of 11 packets`,
    [RATE, P50, P99, LOST, CPU],
    ({ ceilings }) => ['-mode', 'rate', '-rate', ((Math.min(...ceilings.values()) * percent) / 100).toFixed(0)],
  );
  return { ...made, fresh, needsCeiling: true };
}

/** Each server gets a rate above its own closed-loop rate. */
function overloadCase(times: number): Case {
  const made = load(
    `overload-${times}`,
    `${times} × the server's own closed-loop rate, open loop, 10 senders`,
    OVERLOADED,
    ({ ceilings }, server) => ['-mode', 'rate', '-rate', ((ceilings.get(server) ?? 0) * times).toFixed(0), '-probe'],
  );
  return { ...made, needsCeiling: true, loopDelay: true };
}

function load(name: string, title: string, metrics: readonly Metric[], flags: Flags): Case {
  return {
    ...{ name, title, metrics, ...ORDINARY },
    async run(server, context) {
      const { ceilings, windows } = context;
      const where = ['-address', server.address, '-pid', String(server.pid)];
      const parameters = [...flags(context, server.name), ...windows];
      // Starts the measurement here: delays during the start of the process do not count.
      await server.loopDelay();
      const result = await runGenerator<LoadResult>('load', ...where, ...parameters);
      const delay = await server.loopDelay();
      const { values, ...rest } = readLoad(result, ceilings.get(server.name));
      return { values: { ...values, loopDelayP99Ms: delay?.p99Ms ?? null }, ...rest, flags: parameters };
    },
  };
}

/** Returns the figures of a load. `ceiling` is the closed-loop rate, in packets per second. */
export function readLoad(result: LoadResult, ceiling: number | undefined): Sample {
  const windows = result.windows ?? [];
  const median = (value: (window: LoadWindow) => number | null): number | null =>
    summarize(windows.map(value).filter((one) => one !== null))?.median ?? null;
  const perSecond = median((window) => window.delivered / window.seconds) ?? 0;
  const offered = median((window) => (window.sent + window.skipped) / window.seconds) ?? 0;
  const foreign = median((window) => window.foreignShare) ?? 0;
  const { sent, lost } = result.total;
  return {
    values: {
      cpuUs: median((window) => (window.delivered > 0 ? (window.serverSeconds / window.delivered) * 1e6 : null)),
      kpps: perSecond / 1000,
      perSecond,
      lostPercent: sent > 0 ? (lost / sent) * 100 : null,
      p50Us: median((window) => window.p50Us),
      p99Us: median((window) => window.p99Us),
      pongP99Us: result.pongP99Us,
      rssStartMiB: result.rssAtStart / 2 ** 20,
      rssPeakMiB: result.rssPeak / 2 ** 20,
      ofCeilingPercent: ceiling === undefined ? null : (perSecond / ceiling) * 100,
      offeredPercent: ceiling === undefined ? null : (offered / ceiling) * 100,
      serverPercent: (median((window) => window.serverShare) ?? 0) * 100,
      generatorPercent: (median((window) => window.generatorShare) ?? 0) * 100,
    },
    foreignShare: foreign,
    notes: [
      ...(result.generatorLimited ? [GENERATOR_LIMITED] : []),
      ...(foreign > FOREIGN_SHARE ? [DISTURBED] : []),
      ...(result.missed > 0 ? ['the generator fell behind its schedule'] : []),
    ],
  };
}
