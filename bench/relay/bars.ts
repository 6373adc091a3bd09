import { figureOf } from './figures.ts';
import type { Run } from './rounds.ts';
import { basesOf, ServerName } from './server.ts';
import type { Summary } from './statistics.ts';

/** The required value of one figure, for each runtime. */
export interface Bar {
  readonly title: string;
  readonly case: string;
  readonly metric: string;
  readonly digits: number;
  /** The figure itself, or its ratio to derper, or to the same runtime with `--before`, inside a round. */
  readonly of: 'figure' | 'ratio' | 'ratio to before';
  readonly direction: 'at most' | 'at least';
  readonly limits: Readonly<Record<Runtime, number>>;
  /** Printed after the numbers. */
  readonly unit: string;
}

export type Runtime = typeof ServerName.Node | typeof ServerName.Bun;
export const RUNTIMES: readonly Runtime[] = [ServerName.Node, ServerName.Bun];

const CPU = { metric: 'cpuUs', digits: 2, of: 'ratio', direction: 'at most', unit: '' } as const;

/** The bars of the project, all judged by the median. */
export const bars: readonly Bar[] = [
  { ...CPU, title: 'CPU per packet, closed loop', case: 'closed', limits: { node: 0.9, bun: 0.75 } },
  { ...CPU, title: 'CPU per packet, 20 000 packets/s', case: 'paced', limits: { node: 1.1, bun: 0.85 } },
  { ...CPU, metric: 'p99Us', title: 'p99 latency, 20 000 packets/s', case: 'paced', limits: { node: 1.2, bun: 1 } },
  { ...CPU, title: 'CPU per packet, 60 000 packets/s, 100 pairs', case: 'paced-100', limits: { node: 1, bun: 0.9 } },
  { ...CPU, title: 'CPU per packet, coalesced', case: 'coalesced', limits: { node: 0.25, bun: 0.2 } },
  {
    ...{ ...CPU, metric: 'cpuMsPerMb', title: 'CPU per MB, two tailscaled', case: 'tailscaled' },
    limits: { node: 0.65, bun: 0.5 },
  },
  { ...CPU, title: 'CPU per packet across a mesh link, both relays', case: 'mesh', limits: { node: 0.6, bun: 0.6 } },
  {
    ...{ title: 'Flood: lost', case: 'flood', metric: 'lostPercent', digits: 3, of: 'figure', direction: 'at most' },
    ...{ limits: { node: 0, bun: 0 }, unit: ' %' },
  },
  {
    ...{ title: 'Flood: loop delay p99', case: 'flood', metric: 'loopDelayP99Ms', digits: 1, of: 'figure' },
    ...{ direction: 'at most', limits: { node: 20, bun: 20 }, unit: ' ms' },
  },
  {
    ...{ title: 'RSS per idle TLS connection', case: 'idle', metric: 'kibPerConnection', digits: 1, of: 'figure' },
    ...{ direction: 'at most', limits: { node: 40, bun: 7 }, unit: ' KiB' },
  },
  {
    ...{ title: 'CPU while connections are idle', case: 'idle', metric: 'idlePercent', digits: 2, of: 'figure' },
    ...{ direction: 'at most', limits: { node: 0.5, bun: 0.5 }, unit: ' %' },
  },
  {
    ...{ ...CPU, metric: 'cpuMs', title: 'CPU per full handshake', case: 'handshake' },
    limits: { node: 1.2, bun: 0.7 },
  },
  {
    ...{ title: 'STUN answers per second and core', case: 'stun', metric: 'kpps', digits: 1, of: 'figure' },
    ...{ direction: 'at least', limits: { node: 40, bun: 60 }, unit: ' k' },
  },
  {
    ...{
      title: 'Joining a relay of 50,000 keys: p99 of a pair',
      case: 'join',
      metric: 'p99Ms',
      digits: 1,
      of: 'figure',
    },
    ...{ direction: 'at most', limits: { node: 20, bun: 20 }, unit: ' ms' },
  },
  {
    ...{ title: 'Another relay joins one of 50,000 keys: p99 of a pair', case: 'announce', metric: 'p99Ms', digits: 1 },
    ...{ of: 'figure', direction: 'at most', limits: { node: 20, bun: 20 }, unit: ' ms' },
  },
  {
    ...{ ...CPU, of: 'ratio to before', title: 'CPU per packet, one relay thread', case: 'threads', metric: 'oneUs' },
    limits: { node: 1.02, bun: 1.02 },
  },
  {
    ...{ ...CPU, of: 'figure', title: 'CPU per packet in the same thread, two relay threads ÷ one', case: 'threads' },
    ...{ metric: 'sameRatio', limits: { node: 1.05, bun: 1.05 } },
  },
  {
    ...{ ...CPU, of: 'figure', title: 'CPU per packet across threads ÷ in the same one', case: 'threads' },
    ...{ metric: 'acrossRatio', limits: { node: 1.5, bun: 1.5 } },
  },
  {
    ...{ ...CPU, of: 'figure', title: 'Ceiling, two relay threads ÷ one, by CPU per packet', case: 'threads' },
    ...{ metric: 'ceiling', direction: 'at least', limits: { node: 1.8, bun: 1.8 } },
  },
];

/** What a ratio of a bar is to; empty for a figure. */
export function baseOf({ of }: Bar): string {
  return of === 'figure' ? '' : of === 'ratio' ? ', ÷ derper' : ', ÷ before';
}

/** The result of a bar. */
export interface Verdict {
  readonly measured: Summary;
  readonly met: boolean;
}

/** Compares the runs with one bar on one runtime; returns null if it was not measured. */
export function judge(bar: Bar, runtime: Runtime, runs: readonly Run[]): Verdict | null {
  const [derper, before] = basesOf(runtime);
  const base = bar.of === 'ratio to before' ? before : derper;
  const figure = figureOf(runs, { name: bar.case }, { key: bar.metric }, runtime, base);
  const measured = bar.of === 'figure' ? figure.summary : figure.ratio;
  if (measured === null) return null;
  const limit = bar.limits[runtime];
  return { measured, met: bar.direction === 'at most' ? measured.median <= limit : measured.median >= limit };
}
