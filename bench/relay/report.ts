import type { Case } from './case.ts';
import { figureOf, notesOf } from './figures.ts';
import type { Run } from './rounds.ts';
import { baseOf, ServerName } from './server.ts';
import { formatSummary } from './statistics.ts';

/** The table for a terminal. */
export function formatReport(cases: readonly Case[], runs: readonly Run[]): string {
  const servers = Object.values(ServerName).filter((name) => runs.some((run) => run.server === name));
  const compared = servers.filter((server) => servers.some((other) => other === baseOf(server)));
  const header = ['', ...servers, ...compared.map((server) => `${server} ÷ ${baseOf(server) ?? ''}`)];
  const lines: string[][] = [header];
  const titles = new Map<number, string>();
  for (const one of cases) {
    const notes = notesOf(runs, one).map((note) => `\n    ! ${note}`);
    titles.set(lines.length, `${one.name}: ${one.title}${notes.join('')}`);
    for (const metric of one.metrics) {
      const figures = new Map(servers.map((server) => [server, figureOf(runs, one, metric, server)]));
      // Some figures exist in the full run only.
      if ([...figures.values()].every(({ summary }) => summary === null)) continue;
      lines.push([
        `  ${metric.title}`,
        ...servers.map((server) => formatSummary(figures.get(server)?.summary ?? null, metric.digits)),
        ...compared.map((server) => (metric.ratio ? formatSummary(figures.get(server)?.ratio ?? null, 2) : '')),
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
