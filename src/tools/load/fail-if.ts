import { TowpathError } from '../../base/errors.ts';
import { formatMetric } from './format.ts';
import { metricsOf, type Metric, type MetricKind } from './metrics.ts';
import type { Scenario } from './plan.ts';
import type { LoadResult } from './result.ts';

/** How a metric and a limit are compared. */
type Comparison = '>' | '>=' | '<' | '<=' | '=';

/** Something that must not be true of a result. */
export interface Condition {
  /** As it was written. */
  readonly text: string;
  readonly metric: Metric;
  readonly comparison: Comparison;
  /** In the unit of the metric's kind. */
  readonly limit: number;
}

/** The result of a condition. */
export interface Verdict {
  readonly condition: string;
  /** Null when it was not measured; the condition then counts as failed. */
  readonly value: number | null;
  readonly failed: boolean;
  readonly text: string;
}

/** Units of each kind, with their size in the kind's own unit. An empty name means that the unit may be left out. */
const UNITS: Readonly<Record<MetricKind, Readonly<Record<string, number>>>> = {
  share: { '%': 0.01, '': 1 },
  index: { '': 1 },
  time: { us: 0.001, µs: 0.001, ms: 1, s: 1000 },
  count: { '': 1, k: 1000 },
  rate: { '': 1, k: 1000, '/s': 1, 'k/s': 1000 },
  bits: { 'bit/s': 1, 'kbit/s': 1e3, 'Mbit/s': 1e6, 'Gbit/s': 1e9 },
  bytes: { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 },
  flag: { '': 1 },
};

const CONDITION = /^([a-z][a-z0-9.-]*)(?:\s*(>=|<=|==?|>|<)\s*(\d+(?:\.\d+)?)\s*([^\s\d.]*))?$/;

/**
 * Reads a condition such as `loss>0.1%`, `p99 > 5ms` or `generator-limited`. Throws a usage error that says what is
 * wrong: an unknown metric, one of another scenario, a missing or wrong unit.
 */
export function parseCondition(text: string, scenario: Scenario): Condition {
  const match = CONDITION.exec(text.trim());
  if (match === null) throw usage(text, 'this is not a condition', 'Write it as NAME>LIMIT, for example "loss>0.1%".');
  const [, name = '', comparison, number, unit = ''] = match;
  const metrics = metricsOf(scenario);
  const metric = metrics.find((candidate) => candidate.name === name);
  if (metric === undefined) {
    const names = metrics.map((candidate) => candidate.name).join(', ');
    throw usage(text, `"${name}" is not measured by ${scenario}`, `Known here: ${names}.`);
  }
  if (comparison === undefined || number === undefined) {
    if (metric.kind === 'flag') return { text: text.trim(), metric, comparison: '>', limit: 0 };
    throw usage(text, 'has no limit', `Write ${name}>LIMIT, with a limit such as ${example(metric.kind)}.`);
  }
  const factor = Object.hasOwn(UNITS[metric.kind], unit) ? UNITS[metric.kind][unit] : undefined;
  if (factor === undefined) {
    const problem = unit === '' ? 'has no unit' : `has a unit that does not fit ${name} ("${unit}")`;
    throw usage(text, problem, `Write a limit such as ${example(metric.kind)}.`);
  }
  return { text: text.trim(), metric, comparison: readComparison(comparison), limit: Number(number) * factor };
}

/** Checks a condition. When it is true of the result, the run has failed. */
export function judge({ text, metric, comparison, limit }: Condition, result: LoadResult): Verdict {
  const value = metric.value(result);
  if (value === null) {
    return { condition: text, value, failed: true, text: `${text}: ${metric.name} was not measured` };
  }
  const failed = compare(value, comparison, limit);
  return { condition: text, value, failed, text: `${text}: ${metric.name} is ${formatMetric(value, metric.kind)}` };
}

function compare(value: number, comparison: Comparison, limit: number): boolean {
  switch (comparison) {
    case '>':
      return value > limit;
    case '>=':
      return value >= limit;
    case '<':
      return value < limit;
    case '<=':
      return value <= limit;
    case '=':
      return value === limit;
  }
}

function readComparison(text: string): Comparison {
  return text === '==' ? '=' : (text as Comparison);
}

function example(kind: MetricKind): string {
  const examples: Record<MetricKind, string> = {
    share: '0.1%',
    index: '0.98',
    time: '5ms or 200us',
    count: '0 or 10k',
    rate: '20k or 500/s',
    bits: '100Mbit/s',
    bytes: '300MiB',
    flag: '0',
  };
  return examples[kind];
}

function usage(text: string, problem: string, hint: string): TowpathError {
  return new TowpathError('TOWPATH_USAGE', `--fail-if "${text}": ${problem}`, { hint });
}
