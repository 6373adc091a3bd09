import type { Case } from './case.ts';
import { bars, baseOf, judge, RUNTIMES } from './bars.ts';
import { figureOf, notesOf } from './figures.ts';
import { formatVersions } from './machine.ts';
import type { Results } from './results.ts';
import type { Run } from './rounds.ts';
import { ServerName } from './server.ts';
import { formatSummary } from './statistics.ts';

const COMPARED = [ServerName.Derper, ServerName.Node, ServerName.Bun] as const;

/** Describes the machine, once for each start of the benchmark that has a case in the results. */
export function machineText({ parts, runs }: Results): string {
  if (parts.length === 0) return 'Nothing measured yet.';
  const [first] = parts;
  const { cpus, cpu, memoryGiB, kernel } = first!.machine;
  const rows = parts.map(({ machine, cases, options, seconds }) => [
    machine.date.slice(0, 16).replace('T', ' '),
    (seconds / 60).toFixed(1),
    machine.loadAverage.toFixed(1),
    String(Math.max(options.rounds, 1)),
    formatVersions(machine.versions),
    cases.filter((name) => runs.some((run) => run.case === name)).join(', '),
  ]);
  const head = ['started (UTC)', 'minutes', 'load before', 'rounds', 'versions', 'cases'];
  return `${cpus} × ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, loopback only.\n\n${table([head, ...rows])}`;
}

/** Returns a table of the bars, with the measured value and whether it is met. */
export function barsTable(runs: readonly Run[]): string {
  const rows = bars.map((bar) => [
    `${bar.title} (\`${bar.case}\`${baseOf(bar)})`,
    ...RUNTIMES.flatMap((runtime) => {
      const verdict = judge(bar, runtime, runs);
      const limit = `${bar.direction === 'at most' ? '≤' : '≥'} ${bar.limits[runtime]}${bar.unit}`;
      if (verdict === null) return [limit, 'not measured', ''];
      const { measured, met } = verdict;
      const rounds = measured.count < 5 ? ` (${measured.count} round${measured.count === 1 ? '' : 's'})` : '';
      return [limit, `${formatSummary(measured, bar.digits)}${bar.unit}${rounds}`, met ? 'met' : '**missed**'];
    }),
  ]);
  return table([['bar', 'Node: bar', 'measured', '', 'Bun: bar', 'measured', ''], ...rows]);
}

/** All figures of the cases that compare the relays with derper. */
export function casesTable(cases: readonly Case[], runs: readonly Run[]): string {
  const rows = cases
    .filter((one) => one.servers === undefined && runs.some((run) => run.case === one.name))
    .flatMap((one) =>
      one.metrics.map((metric, index) => [
        index === 0 ? `\`${one.name}\`` : '',
        metric.title,
        ...COMPARED.map((server) => formatSummary(figureOf(runs, one, metric, server).summary, metric.digits)),
        ...RUNTIMES.map((server) => (metric.ratio ? formatSummary(figureOf(runs, one, metric, server).ratio, 2) : '')),
      ]),
    );
  if (rows.length === 0) return 'Not measured yet.';
  const notes = cases.flatMap((one) => {
    const own = notesOf(runs, one);
    return own.length === 0 ? [] : [`- \`${one.name}\`: ${own.join('; ')}`];
  });
  const head = ['case', 'figure', ...COMPARED, 'node ÷ derper', 'bun ÷ derper'];
  return [
    table([head, ...rows]),
    ...(notes.length === 0 ? [] : ['What to know before believing some of them:', notes.join('\n')]),
  ].join('\n\n');
}

/** Returns a table of the cost of the counters. */
export function countersTable(cases: readonly Case[], runs: readonly Run[]): string {
  const one = cases.find(({ name }) => name === 'counters');
  const metric = one?.metrics.find(({ key }) => key === 'cpuUs');
  if (one === undefined || metric === undefined || !runs.some((run) => run.case === one.name))
    return 'Not measured yet.';
  const pairs = [
    ['Node', ServerName.Node, ServerName.NodeUncounted],
    ['Bun', ServerName.Bun, ServerName.BunUncounted],
  ] as const;
  const rows = pairs.map(([title, counted, uncounted]) => [
    title,
    formatSummary(figureOf(runs, one, metric, counted).summary, 2),
    formatSummary(figureOf(runs, one, metric, uncounted).summary, 2),
    formatSummary(figureOf(runs, one, metric, uncounted).ratio, 3),
  ]);
  return table([['runtime', 'CPU µs/packet, counting', 'not counting', 'not counting ÷ counting'], ...rows]);
}

/** Returns a list of the cases with their titles. */
export function caseList(cases: readonly Case[], titles: Results['titles']): string {
  return cases.map(({ name, title }) => `- \`${name}\`: ${titles[name] ?? title}`).join('\n');
}

/** A Markdown table; the first row is its head. */
export function table(rows: readonly (readonly string[])[]): string {
  const [head, ...rest] = rows.map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`);
  return [head, `|${rows[0]!.map(() => ' --- |').join('')}`, ...rest].join('\n');
}
