import type { Case } from './case.ts';
import { figureOf, notesOf } from './figures.ts';
import type { Run } from './rounds.ts';
import { basesOf, ServerName } from './server.ts';
import { formatSummary } from './statistics.ts';

/** The table for a terminal. */
export function formatReport(cases: readonly Case[], runs: readonly Run[]): string {
  const servers = Object.values(ServerName).filter((name) => runs.some((run) => run.server === name));
  const pairs = servers.flatMap((server) =>
    basesOf(server)
      .filter((base) => servers.includes(base))
      .map((base) => [server, base] as const),
  );
  const header = ['', ...servers, ...pairs.map((pair) => pair.join(' ÷ '))];
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
        ...pairs.map(([server, base]) =>
          metric.ratio ? formatSummary(figureOf(runs, one, metric, server, base).ratio, 2) : '',
        ),
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
