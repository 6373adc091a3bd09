import { table } from '../relay/markdown.ts';
import { formatMachine, type Machine } from '../relay/machine.ts';
import { formatSummary, summarize, type Summary } from '../relay/statistics.ts';
import { CONTENDERS, type ContenderName } from './contender.ts';
import type { UdpRun } from './rows.ts';

const DIGITS = 2;
const MISSED = ' **missed**';

/** What `npm run bench:udp` keeps. */
export interface UdpResults {
  readonly machine: Machine;
  readonly options: { readonly rounds: number };
  readonly runs: readonly UdpRun[];
}

/** One row of docs/performance.md. */
interface ShownRow {
  readonly title: string;
  /** The name of the figure; with `dividedBy`: what it is divided by. */
  readonly key: string;
  readonly dividedBy?: string;
  /** The bar of the ratio to stock. `least` says that it must be reached. */
  readonly ratio?: number;
  readonly least?: true;
  /** The bar of the figure itself: of the median, and of the worst round. */
  readonly median?: number;
  readonly worst?: number;
}

const SHOWN: readonly ShownRow[] = [
  { title: 'CPU per datagram, 10 flows, one by one, µs', key: 'single CPU µs/packet', ratio: 0.6 },
  { title: 'the same in bursts of 16, µs', key: 'bursts CPU µs/packet', ratio: 0.5 },
  { title: 'two tailscaled, CPU per MB, ms', key: 'transfer CPU ms/MB', ratio: 0.5 },
  { title: 'their rate, Mbit/s', key: 'transfer Mbit/s', ratio: 1, least: true },
  { title: 'from the start to the first pong, s', key: 'first pong s', median: 4, worst: 15 },
  { title: 'longest silence in a stream while it is restarted, ms', key: 'restart longest hole ms', median: 1000 },
  {
    title: 'CPU per datagram with 1,000 endpoints, of which 100 are busy, ÷ with 1',
    key: '1000 endpoints CPU µs/packet',
    dividedBy: '1 endpoint CPU µs/packet',
    median: 1.1,
  },
  { title: 'CPU during a flood of unknown VNIs, µs', key: 'unknown VNIs CPU µs/packet' },
  { title: 'a good flow next to it loses, %', key: 'unknown VNIs lost %', median: 1 },
  { title: 'of bad MACs, µs', key: 'bad MACs CPU µs/packet' },
  { title: 'a good flow next to it loses, %', key: 'bad MACs lost %', median: 1 },
  { title: 'of spoofed sources, µs', key: 'spoofed sources CPU µs/packet' },
  { title: 'a good flow next to it loses, %', key: 'spoofed sources lost %', median: 1 },
];

/** Returns the text of docs/performance.md: what was measured, and the figures that have a bar, with stock and ratios. */
export function udpPageText({ machine, options, runs }: UdpResults): string {
  const rows = SHOWN.map((row) => [
    row.title,
    barOf(row),
    ...CONTENDERS.map((name) => {
      const figure = summarize(valuesOf(runs, name, row));
      return `${formatSummary(figure, DIGITS)}${name !== 'stock' && isAbove(figure, row) ? MISSED : ''}`;
    }),
    ...(['node', 'bun'] as const).map((name) => {
      const { ratio: bar, least } = row;
      const ratio = summarize(ratiosOf(runs, name, row));
      const isMissed = bar !== undefined && ratio !== null && (least ? ratio.median < bar : ratio.median > bar);
      return `${formatSummary(ratio, DIGITS)}${isMissed ? MISSED : ''}`;
    }),
  ]);
  const head = ['', 'bar', 'stock', 'Node 26', 'Bun', 'Node 26 ÷ stock', 'Bun ÷ stock'];
  return `${options.rounds} interleaved rounds: ${formatMachine(machine)}\n\n${table([head, ...rows])}`;
}

function barOf({ ratio, least, median, worst }: ShownRow): string {
  if (ratio !== undefined) return `${least ? '≥' : '≤'} ${ratio} × stock`;
  if (median === undefined) return '';
  return worst === undefined ? `≤ ${median}` : `≤ ${median}, worst ≤ ${worst}`;
}

function isAbove(figure: Summary | null, { median = Infinity, worst = Infinity }: ShownRow): boolean {
  return figure !== null && (figure.median > median || figure.highest > worst);
}

/** A table of all figures: median and range of each contender, and of its ratios to stock within each round. */
export function udpReport(runs: readonly UdpRun[]): string {
  const names = [...new Set(runs.flatMap(({ values }) => Object.keys(values)))];
  const shown = CONTENDERS.filter((name) => runs.some(({ contender }) => contender === name));
  const head = ['', ...shown, ...shown.filter((name) => name !== 'stock').map((name) => `${name} ÷ stock`)];
  const lines = names.map((key) => [
    key,
    ...shown.map((name) => formatSummary(summarize(valuesOf(runs, name, { key })), DIGITS)),
    ...shown
      .filter((name) => name !== 'stock')
      .map((name) => formatSummary(summarize(ratiosOf(runs, name, { key })), DIGITS)),
  ]);
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** A figure, or one divided by another of the same run. */
type Figure = Pick<ShownRow, 'key' | 'dividedBy'>;

function figureOf({ values }: UdpRun, { key, dividedBy }: Figure): number | null {
  const value = values[key];
  if (value === undefined || dividedBy === undefined) return value ?? null;
  const divisor = values[dividedBy] ?? 0;
  return divisor === 0 ? null : value / divisor;
}

function valuesOf(runs: readonly UdpRun[], name: ContenderName, figure: Figure): number[] {
  return runs.flatMap((run) => (run.contender === name ? (figureOf(run, figure) ?? []) : []));
}

function ratiosOf(runs: readonly UdpRun[], name: ContenderName, figure: Figure): number[] {
  return runs.flatMap((run) => {
    const stock = runs.find(({ contender, round }) => contender === 'stock' && round === run.round);
    const value = run.contender === name ? figureOf(run, figure) : null;
    const divisor = stock === undefined ? null : figureOf(stock, figure);
    return value === null || divisor === null || divisor === 0 ? [] : [value / divisor];
  });
}
