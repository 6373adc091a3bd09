import type { Case, Metric } from './case.ts';
import type { Run } from './rounds.ts';
import { basesOf, type ServerName } from './server.ts';
import { summarize, type Summary } from './statistics.ts';

/** A figure of one server over all rounds. */
export interface Figure {
  readonly summary: Summary | null;
  /** Summary of the ratios to the base, each within one round. */
  readonly ratio: Summary | null;
}

/** Sums up one figure of a case; failed runs do not count. `base` is the server that `server` is compared with. */
export function figureOf(
  runs: readonly Run[],
  one: Pick<Case, 'name'>,
  metric: Pick<Metric, 'key'>,
  server: ServerName,
  base: ServerName | undefined = basesOf(server)[0],
): Figure {
  const own = runs.filter((run) => run.case === one.name && run.server === server);
  const values = own.map((run) => valueOf(run, metric)).filter((value) => value !== null);
  const ratios: number[] = [];
  for (const run of own) {
    const other = runs.find((it) => it.case === run.case && it.round === run.round && it.server === base);
    const value = valueOf(run, metric);
    const divisor = other === undefined ? null : valueOf(other, metric);
    if (value !== null && divisor !== null && divisor > 0) ratios.push(value / divisor);
  }
  return { summary: summarize(values), ratio: summarize(ratios) };
}

/** Returns the problems of the runs of a case, each with the number of runs. */
export function notesOf(runs: readonly Run[], one: Pick<Case, 'name'>): string[] {
  const counts = new Map<string, number>();
  const own = runs.filter((run) => run.case === one.name);
  for (const { sample, server, error } of own) {
    for (const note of [...(sample?.notes ?? []), ...(error === null ? [] : ['failed'])]) {
      const text = `${note}, ${server}`;
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
  }
  return [...counts].map(([text, count]) => {
    const server = text.slice(text.lastIndexOf(' ') + 1);
    return `${text}: ${count} of ${own.filter((run) => run.server === server).length} runs`;
  });
}

function valueOf(run: Run, { key }: Pick<Metric, 'key'>): number | null {
  return run.error === null ? (run.sample?.values[key] ?? null) : null;
}
