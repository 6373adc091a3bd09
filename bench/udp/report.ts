import { table } from '../relay/markdown.ts';
import { formatMachine, type Machine } from '../relay/machine.ts';
import { formatSummary, summarize } from '../relay/statistics.ts';
import { CONTENDERS, type ContenderName } from './contender.ts';
import type { UdpRun } from './rows.ts';

const DIGITS = 2;

/** What `npm run bench:udp` keeps. */
export interface UdpResults {
  readonly machine: Machine;
  readonly options: { readonly rounds: number };
  readonly runs: readonly UdpRun[];
}

/** The shown figures: title, name and the bar of their ratio to stock; `least` says that it must be reached. */
const SHOWN: readonly { title: string; key: string; bar?: number; least?: true }[] = [
  { title: 'CPU per datagram, 10 flows, one by one, µs', key: 'single CPU µs/packet', bar: 0.6 },
  { title: 'the same in bursts of 16, µs', key: 'bursts CPU µs/packet', bar: 0.5 },
  { title: 'two tailscaled, CPU per MB, ms', key: 'transfer CPU ms/MB', bar: 0.5 },
  { title: 'their rate, Mbit/s', key: 'transfer Mbit/s', bar: 1, least: true },
  { title: 'from the start to the first pong, s', key: 'first pong s' },
  { title: 'longest silence in a stream while it is restarted, ms', key: 'restart longest hole ms' },
  { title: 'CPU during a flood of unknown VNIs, µs', key: 'unknown VNIs CPU µs/packet' },
  { title: 'of bad MACs, µs', key: 'bad MACs CPU µs/packet' },
  { title: 'of spoofed sources, µs', key: 'spoofed sources CPU µs/packet' },
];

/** Returns the text of docs/performance.md: what was measured, and the figures that have a bar, with stock and ratios. */
export function udpPageText({ machine, options, runs }: UdpResults): string {
  const rows = SHOWN.map(({ title, key, bar, least }) => [
    title,
    bar === undefined ? '' : `${least ? '≥' : '≤'} ${bar}`,
    ...CONTENDERS.map((name) => formatSummary(summarize(valuesOf(runs, name, key)), DIGITS)),
    ...(['node', 'bun'] as const).map((name) => {
      const ratio = summarize(ratiosOf(runs, name, key));
      const isMissed =
        bar !== undefined && ratio !== null && (least ? ratio.median < bar : ratio.median > bar) ? ' **missed**' : '';
      return `${formatSummary(ratio, DIGITS)}${isMissed}`;
    }),
  ]);
  const head = ['', 'bar', 'stock', 'Node 26', 'Bun', 'Node 26 ÷ stock', 'Bun ÷ stock'];
  return `${options.rounds} interleaved rounds: ${formatMachine(machine)}\n\n${table([head, ...rows])}`;
}

/** A table of all figures: median and range of each contender, and of its ratios to stock within each round. */
export function udpReport(runs: readonly UdpRun[]): string {
  const names = [...new Set(runs.flatMap(({ values }) => Object.keys(values)))];
  const shown = CONTENDERS.filter((name) => runs.some(({ contender }) => contender === name));
  const head = ['', ...shown, ...shown.filter((name) => name !== 'stock').map((name) => `${name} ÷ stock`)];
  const lines = names.map((key) => [
    key,
    ...shown.map((name) => formatSummary(summarize(valuesOf(runs, name, key)), DIGITS)),
    ...shown
      .filter((name) => name !== 'stock')
      .map((name) => formatSummary(summarize(ratiosOf(runs, name, key)), DIGITS)),
  ]);
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function valuesOf(runs: readonly UdpRun[], name: ContenderName, key: string): number[] {
  return runs.filter(({ contender, values }) => contender === name && key in values).map(({ values }) => values[key]!);
}

function ratiosOf(runs: readonly UdpRun[], name: ContenderName, key: string): number[] {
  return runs
    .filter(({ contender, values }) => contender === name && key in values)
    .flatMap(({ round, values }) => {
      const stock = runs.find((run) => run.contender === 'stock' && run.round === round)?.values[key];
      return stock === undefined || stock === 0 ? [] : [values[key]! / stock];
    });
}
