import type { BenchOptions } from './options.ts';
import type { HandshakeResult, IdleResult, LoadResult, LoadWindow, RelayFiles } from './programs.ts';
import { runGenerator, runTailscale } from './programs.ts';
import type { Server, ServerName } from './server.ts';
import { summarize } from './statistics.ts';

/** A figure that a case gives. */
export interface Metric {
  readonly key: string;
  readonly title: string;
  readonly digits: number;
  /** Whether its ratio to derper is worth a column. */
  readonly ratio: boolean;
}

/** What one run of a case against one server gave. */
export interface Sample {
  readonly values: Readonly<Record<string, number | null>>;
  /** Part of a CPU that neither server nor generator used; null where it cannot be told. */
  readonly foreignShare: number | null;
  /** What a reader must know before believing the values. */
  readonly notes: readonly string[];
  readonly raw: unknown;
}

/** What a case may need to know about its round. */
export interface RoundContext {
  readonly options: BenchOptions;
  readonly files: RelayFiles;
  /** Packets per second of the closed loop, by server, once that case has run in this round. */
  readonly ceilings: ReadonlyMap<ServerName, number>;
  /** Warm-up, number of windows and their length for `benchload load`. */
  readonly windows: readonly string[];
}

/** One kind of load and what is measured under it. */
export interface Case {
  readonly name: string;
  readonly title: string;
  readonly metrics: readonly Metric[];
  /** Pinned to its own CPU, or where the scheduler likes. */
  readonly pinned: boolean;
  /** A fresh server each time, also in short mode. */
  readonly fresh: boolean;
  /** Runs in the first so many rounds only. */
  readonly rounds: number;
  run(server: Server, context: RoundContext): Promise<Sample>;
}

/** A measurement during which others used more of the machine than this is marked. */
export const FOREIGN_SHARE = 0.15;
const CPU: Metric = { key: 'cpuUs', title: 'CPU µs/packet', digits: 2, ratio: true };
const RATE: Metric = { key: 'kpps', title: 'kpackets/s', digits: 1, ratio: false };
const LOST: Metric = { key: 'lostPercent', title: 'lost %', digits: 2, ratio: false };
const P50: Metric = { key: 'p50Us', title: 'p50 µs', digits: 0, ratio: false };
const P99: Metric = { key: 'p99Us', title: 'p99 µs', digits: 0, ratio: false };
const ALWAYS = { pinned: true, fresh: false, rounds: Infinity };

/** The cases of a mode, in the order in which a round runs them. */
export function casesOf(options: BenchOptions): Case[] {
  const every = options.short
    ? [...mainCases(), ...heldCases(options)]
    : [...mainCases(), ...moreCases(), ...heldCases(options)];
  if (options.cases.length === 0) return every;
  const wanted = [...mainCases(), ...moreCases(), ...heldCases(options)].filter(({ name }) =>
    isWanted(name, options.cases),
  );
  if (wanted.length === 0) throw new Error(`--cases: none of ${every.map(({ name }) => name).join(', ')} fits`);
  return wanted;
}

function isWanted(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern));
}

function mainCases(): Case[] {
  return [
    closedCase('closed', '1200 bytes, a record per packet, 10 pairs, closed loop of 44', {}),
    load('paced', '20 000 packets/s evenly spaced, 10 pairs', [CPU, LOST, P50, { ...P99, ratio: true }], () => [
      ...['-mode', 'rate', '-rate', '20000', '-records-per-write', '1'],
    ]),
    load('coalesced', '11 packets in a record, 10 pairs, closed loop of 176', [CPU, RATE, LOST], () => [
      ...['-mode', 'closed', '-frames-per-record', '11', '-records-per-write', '1', '-window', '176'],
    ]),
    load(
      'flood',
      '10 senders as fast as their sockets take it',
      [
        { key: 'ofCeilingPercent', title: 'delivered, % of closed loop', digits: 0, ratio: false },
        ...[RATE, LOST, CPU, { key: 'pongP99Us', title: 'ping p99 µs', digits: 0, ratio: true }],
        { key: 'rssPeakMiB', title: 'peak RSS MiB', digits: 0, ratio: false },
      ],
      () => ['-mode', 'flood', '-probe'],
    ),
  ];
}

function moreCases(): Case[] {
  return [
    ...[20, 50, 80].map(latencyCase),
    ...[64, 1400, 16_384, 65_536].map((size) =>
      closedCase(`size-${size}`, `${size} bytes, a write per packet or 11, 10 pairs, closed loop`, { size }),
    ),
    ...[1, 100].map((pairs) =>
      closedCase(`pairs-${pairs}`, `1200 bytes, ${pairs} pairs, closed loop of 44`, { pairs }),
    ),
  ];
}

/** How many bytes of large packets may be under way per pair: less than a queue of any of the servers holds. */
const LARGE_WINDOW_BYTES = 200_000;

function closedCase(name: string, title: string, { size = 1200, pairs = 10 }: { size?: number; pairs?: number }): Case {
  const large = size > 1400;
  const window = large ? Math.floor(LARGE_WINDOW_BYTES / (size + 37)) : 44;
  return load(name, title, [CPU, RATE, LOST], () => [
    ...['-mode', 'closed', '-size', String(size), '-pairs', String(pairs), '-window', String(window)],
    ...['-records-per-write', large ? '1' : '11'],
  ]);
}

/** All servers get the same rate, a share of what the slowest of them can do, because their latencies are compared. */
function latencyCase(percent: number): Case {
  return load(
    `latency-${percent}`,
    `${percent} % of the lowest closed-loop rate, in writes of 11 packets`,
    [RATE, P50, { ...P99, ratio: true }, LOST, CPU],
    ({ ceilings }) => {
      if (ceilings.size === 0) throw new Error('the latency cases need the case closed in the same round');
      const rate = (Math.min(...ceilings.values()) * percent) / 100;
      return ['-mode', 'rate', '-rate', rate.toFixed(0)];
    },
  );
}

function load(name: string, title: string, metrics: Metric[], flags: (context: RoundContext) => string[]): Case {
  return {
    ...{ name, title, metrics, ...ALWAYS },
    async run(server, context) {
      const where = ['load', '-address', server.address, '-pid', String(server.pid)];
      const parameters = [...where, ...flags(context), ...context.windows];
      const result = await runGenerator<LoadResult>(...parameters);
      return { ...readLoad(result, context.ceilings.get(server.name)), raw: { parameters, ...result } };
    },
  };
}

function readLoad(result: LoadResult, ceiling: number | undefined): Omit<Sample, 'raw'> {
  const windows = result.windows ?? [];
  const median = (value: (window: LoadWindow) => number | null): number | null =>
    summarize(windows.map(value).filter((one) => one !== null))?.median ?? null;
  const perSecond = median((window) => window.delivered / window.seconds) ?? 0;
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
      rssPeakMiB: result.rssPeak / 2 ** 20,
      ofCeilingPercent: ceiling === undefined ? null : (perSecond / ceiling) * 100,
      serverPercent: (median((window) => window.serverShare) ?? 0) * 100,
      generatorPercent: (median((window) => window.generatorShare) ?? 0) * 100,
    },
    foreignShare: foreign,
    notes: [
      ...(result.generatorLimited ? ['the generator was the limit'] : []),
      ...(foreign > FOREIGN_SHARE ? ['others used the machine'] : []),
      ...(result.missed > 0 ? ['the generator fell behind its schedule'] : []),
    ],
  };
}

function heldCases({ idleConnections, megabytes, short }: BenchOptions): Case[] {
  const rounds = short ? 1 : Infinity;
  const handshakes = short ? 300 : 1000;
  return [
    {
      name: 'idle',
      title: `${idleConnections} TLS connections held`,
      metrics: [{ key: 'kibPerConnection', title: 'RSS KiB/connection', digits: 1, ratio: true }],
      ...{ pinned: true, fresh: true, rounds },
      async run(server) {
        const flags = ['-address', server.address, '-pid', String(server.pid), '-n', String(idleConnections)];
        const raw = await runGenerator<IdleResult>('idle', ...flags);
        return { values: { kibPerConnection: raw.bytesPerConnection / 1024 }, foreignShare: null, notes: [], raw };
      },
    },
    {
      name: 'handshake',
      title: `${handshakes} full TLS and DERP handshakes`,
      metrics: [{ key: 'cpuMs', title: 'CPU ms/handshake', digits: 3, ratio: true }],
      ...{ pinned: true, fresh: false, rounds },
      async run(server) {
        const flags = ['-address', server.address, '-pid', String(server.pid), '-n', String(handshakes)];
        const raw = await runGenerator<HandshakeResult>('handshake', ...flags);
        const notes = raw.foreignShare > FOREIGN_SHARE ? ['others used the machine'] : [];
        return { values: { cpuMs: raw.serverMsPerHandshake }, foreignShare: raw.foreignShare, notes, raw };
      },
    },
    {
      name: 'tailscaled',
      title: `two stock tailscaled, ${megabytes} MB each way, nothing pinned`,
      metrics: [
        { key: 'cpuMsPerMb', title: 'CPU ms/MB', digits: 1, ratio: true },
        { key: 'mbit', title: 'Mbit/s', digits: 0, ratio: true },
      ],
      ...{ pinned: false, fresh: true, rounds },
      async run(server, { files }) {
        const where = ['-port', String(server.port), '-stun-port', String(server.stunPort), '-pin', files.pin];
        const raw = await runTailscale(...where, '-pid', String(server.pid), '-megabytes', String(megabytes));
        const sum = (key: 'megabytes' | 'seconds' | 'serverSeconds'): number =>
          raw.transfers.reduce((total, transfer) => total + transfer[key], 0);
        const values = {
          cpuMsPerMb: (sum('serverSeconds') * 1000) / sum('megabytes'),
          mbit: (sum('megabytes') * 8) / sum('seconds'),
        };
        return { values, foreignShare: null, notes: [], raw };
      },
    },
  ];
}
