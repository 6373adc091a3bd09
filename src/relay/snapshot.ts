import { Counters, type CounterValues } from '../observe/counters.ts';
import type { LinkSnapshot } from './mesh/snapshot.ts';
import type { SessionSnapshot } from './session/traffic.ts';
import type { Writable } from '../base/writable.ts';

/** Counters and gauges of a relay at one time, as plain data. */
export interface RelaySnapshot {
  readonly counters: CounterValues;
  /** Sessions of all states. */
  readonly sessions: readonly SessionSnapshot[];
  /** Links to the other relays of the region. */
  readonly links: readonly LinkSnapshot[];
}

/** Values that each thread has for all threads, because it knows the keys of the others. */
const SEEN_BY_EACH = [
  'localKeys',
  'remoteKeys',
  'duplicateKeys',
  'duplicateConnections',
  'totalDuplicateConnections',
] as const;
/** Gauges: they do not count for a thread that has ended. */
const GAUGES = ['connections', 'homeConnections', 'notIdealConnections', 'openStreams', 'watchers'] as const;

/**
 * Merges the counts of all relays of one process. `ended` has the counts of threads that have ended. A key that is
 * connected to several threads counts once.
 */
export function mergeThreads(
  first: CounterValues,
  others: readonly CounterValues[],
  ended: readonly CounterValues[],
): CounterValues {
  const sum = addCounters([first, ...others, ...ended]) as Writable<CounterValues>;
  for (const name of SEEN_BY_EACH) sum[name] = first[name];
  for (const name of GAUGES) sum[name] -= ended.reduce((total, counters) => total + counters[name], 0);
  return sum;
}

/** Adds counts and gauges. The average is weighted by the number of writes. */
export function addCounters(list: readonly CounterValues[]): CounterValues {
  const sum = list.reduce<unknown>(add, structuredClone(new Counters())) as Writable<CounterValues>;
  const { flushes } = sum;
  const delays = list.reduce((seconds, one) => seconds + one.queueDelaySeconds * one.flushes, 0);
  sum.queueDelaySeconds = flushes === 0 ? 0 : delays / flushes;
  return sum;
}

/** Makes `target` equal to `values`. The tables of `target` stay the same objects, because others refer to them. */
export function assignCounters(target: CounterValues, values: CounterValues): void {
  copyInto(target, values);
}

function copyInto(target: Record<string, unknown>, values: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === 'number') target[name] = value;
    else copyInto(target[name] as Record<string, unknown>, value as Record<string, unknown>);
  }
}

/** Adds numbers, and the numbers of two lists or records of the same shape. */
function add(left: unknown, right: unknown): unknown {
  if (typeof left === 'number' && typeof right === 'number') return left + right;
  if (Array.isArray(left) && Array.isArray(right)) return left.map((value, i) => add(value, right[i]));
  const [a, b] = [left, right] as [Record<string, unknown>, Record<string, unknown>];
  return Object.fromEntries(Object.keys(a).map((name) => [name, add(a[name], b[name])]));
}
