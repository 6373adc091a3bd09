import { formatSummary, summarize } from '../relay/statistics.ts';
import { CONTENDERS, type ContenderName } from './contender.ts';
import type { UdpRun } from './rows.ts';

const DIGITS = 2;

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
