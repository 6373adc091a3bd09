import type { Case, Metric } from './cases.ts';
import type { Measured, Run } from './rounds.ts';
import { ServerName } from './server.ts';
import { formatSummary, summarize, type Summary } from './statistics.ts';

/** A figure of one server over all rounds. */
export interface Figure {
  readonly case: string;
  readonly server: ServerName;
  readonly metric: string;
  readonly summary: Summary | null;
  /** Of the ratios to derper inside each round. */
  readonly ratio: Summary | null;
}

/** All figures, in the order of cases, metrics and servers. */
export function figuresOf(measured: Measured, servers: readonly ServerName[]): Figure[] {
  return measured.cases.flatMap((one) =>
    one.metrics.flatMap((metric) => servers.map((server) => figureOf(measured.runs, one, metric, server))),
  );
}

function figureOf(runs: readonly Run[], one: Case, metric: Metric, server: ServerName): Figure {
  const own = runs.filter((run) => run.case === one.name && run.server === server);
  const values = own.map((run) => valueOf(run, metric)).filter((value) => value !== null);
  const ratios: number[] = [];
  if (metric.ratio && server !== ServerName.Derper) {
    for (const run of own) {
      const reference = runs.find(
        (other) => other.case === run.case && other.round === run.round && other.server === ServerName.Derper,
      );
      const value = valueOf(run, metric);
      const base = reference === undefined ? null : valueOf(reference, metric);
      if (value !== null && base !== null && base > 0) ratios.push(value / base);
    }
  }
  return { case: one.name, server, metric: metric.key, summary: summarize(values), ratio: summarize(ratios) };
}

function valueOf(run: Run, metric: Metric): number | null {
  return run.sample?.values[metric.key] ?? null;
}

/** The table for people. */
export function formatReport(measured: Measured, servers: readonly ServerName[]): string {
  const figures = figuresOf(measured, servers);
  const compared = servers.filter((server) => server !== ServerName.Derper && servers.includes(ServerName.Derper));
  const header = ['', ...servers, ...compared.map((server) => `${server} ÷ derper`)];
  const lines: string[][] = [header];
  const titles = new Map<number, string>();
  for (const one of measured.cases) {
    titles.set(lines.length, `${one.name}: ${one.title}${notesOf(measured.runs, one)}`);
    for (const metric of one.metrics) {
      const of = (server: ServerName): Figure | undefined =>
        figures.find((figure) => figure.case === one.name && figure.metric === metric.key && figure.server === server);
      lines.push([
        `  ${metric.title}`,
        ...servers.map((server) => formatSummary(of(server)?.summary ?? null, metric.digits)),
        ...compared.map((server) => (metric.ratio ? formatSummary(of(server)?.ratio ?? null, 2) : '')),
      ]);
    }
  }
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .flatMap((line, index) => {
      const row = line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd();
      const title = titles.get(index);
      return title === undefined ? [row] : [title, row];
    })
    .join('\n');
}

/** What was wrong with some of the runs of a case, and how many. */
function notesOf(runs: readonly Run[], one: Case): string {
  const own = runs.filter((run) => run.case === one.name);
  const counts = new Map<string, number>();
  for (const run of own) {
    for (const note of run.sample?.notes ?? []) {
      const text = `${note}, ${run.server}`;
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
    if (run.error !== null) counts.set(`failed, ${run.server}`, (counts.get(`failed, ${run.server}`) ?? 0) + 1);
  }
  return [...counts].map(([text, count]) => `\n    ! ${text}: ${count} of its runs`).join('');
}
