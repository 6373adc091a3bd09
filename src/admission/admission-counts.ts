import type { MetricDefinition, Sample } from '../observe/metrics.ts';
import { REFUSAL_REASONS, type RefusalReason, type Source } from './source.ts';

/** Counts by source and reason; both come from bounded sets. */
class Table {
  readonly #counts = new Map<string, Map<string, number>>();

  add(source: string, reason: string): void {
    const row = this.#counts.get(source) ?? new Map<string, number>();
    this.#counts.set(source, row);
    row.set(reason, (row.get(reason) ?? 0) + 1);
  }

  samples(): Sample[] {
    return [...this.#counts].flatMap(([source, row]) =>
      [...row].map(([reason, value]): Sample => [{ source, reason }, value]),
    );
  }
}

/** What admission has decided, by source. */
export class AdmissionCounts {
  readonly #admits = new Map<string, number>();
  readonly #failOpen = new Map<string, number>();
  readonly #refusals = new Table();
  readonly #ended = new Table();

  /** Counts a connection that `source` admitted; `isFailOpen`: because the source cannot be reached. */
  admitted(source: string, isFailOpen: boolean): void {
    const table = isFailOpen ? this.#failOpen : this.#admits;
    table.set(source, (table.get(source) ?? 0) + 1);
  }

  /** Counts a connection that was not admitted. */
  refused(source: string, reason: RefusalReason): void {
    this.#refusals.add(source, reason);
  }

  /** Counts an open connection that was closed, because its node is no longer admitted. */
  ended(source: string, reason: RefusalReason): void {
    this.#ended.add(source, reason);
  }

  /** The metrics of admission. Those of a source exist from the start, so that an alert can use them. */
  metrics(sources: readonly Source[]): MetricDefinition[] {
    const bySource = (table: ReadonlyMap<string, number>) => (): Sample[] =>
      [...table].map(([source, value]): Sample => [{ source }, value]);
    for (const { name } of sources) if (!this.#admits.has(name)) this.#admits.set(name, 0);
    return [
      counter('admits_total', 'Connections that were admitted, by source.', ['source'], bySource(this.#admits)),
      counter(
        'fail_open_total',
        'Connections that were admitted because a source with failOpen could not be reached.',
        ['source'],
        bySource(this.#failOpen),
      ),
      counter(
        'refusals_total',
        `Connections that were not admitted, by source and reason (${REFUSAL_REASONS.join(', ')}).`,
        ['source', 'reason'],
        () => this.#refusals.samples(),
      ),
      counter(
        'ended_total',
        'Open connections that were closed because their key is no longer admitted, by source and reason.',
        ['source', 'reason'],
        () => this.#ended.samples(),
      ),
      ...stateGauges(sources),
    ];
  }
}

function stateGauges(sources: readonly Source[]): MetricDefinition[] {
  const each = (value: (source: Source) => number | null) => (): Sample[] =>
    sources.flatMap((source) => {
      const found = value(source);
      return found === null ? [] : [[{ source: source.name }, found] as const];
    });
  return [
    gauge(
      'source_up',
      '1 while the source answers, else 0.',
      each((source) => (source.state().problem === null ? 1 : 0)),
    ),
    gauge(
      'source_usable',
      '1 while the source can decide, with a new answer or with its last good one, else 0.',
      each((source) => (source.state().isUsable ? 1 : 0)),
    ),
    gauge(
      'source_keys',
      'Node keys that the source admits, if it has a list.',
      each((source) => source.state().keys),
    ),
    gauge(
      'source_age_seconds',
      'Seconds since the last good answer of the source.',
      each((source) => source.state().ageSeconds),
    ),
  ];
}

function counter(
  name: string,
  help: string,
  labels: readonly string[],
  read: () => Iterable<Sample>,
): MetricDefinition {
  return { name: `towpath_admission_${name}`, help, type: 'counter', labels, read };
}

function gauge(name: string, help: string, read: () => Iterable<Sample>): MetricDefinition {
  return { name: `towpath_admission_${name}`, help, type: 'gauge', labels: ['source'], read };
}
