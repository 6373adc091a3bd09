import { Counters, type CounterValues } from '../observe/counters.ts';
import type { LinkSnapshot } from './mesh/snapshot.ts';
import type { SessionSnapshot } from './session/traffic.ts';

/** Counters and gauges of a relay at one time, as plain data. */
export interface RelaySnapshot {
  readonly counters: CounterValues;
  /** Those of all states. */
  readonly sessions: readonly SessionSnapshot[];
  /** Links to the other relays of the region. */
  readonly links: readonly LinkSnapshot[];
}

/**
 * What several relays of one process hold together. A key that is connected to two of them counts twice.
 * @public for relay threads, which do not exist yet
 */
export function addSnapshots(snapshots: readonly RelaySnapshot[]): RelaySnapshot {
  return {
    counters: addCounters(snapshots.map(({ counters }) => counters)),
    sessions: snapshots.flatMap(({ sessions }) => sessions),
    links: snapshots.flatMap(({ links }) => links),
  };
}

/** Adds counts and gauges. The average counts by how many writes went into it. */
export function addCounters(list: readonly CounterValues[]): CounterValues {
  const sum = list.reduce<unknown>(add, structuredClone(new Counters())) as Writable<CounterValues>;
  const { flushes } = sum;
  const delays = list.reduce((seconds, one) => seconds + one.queueDelaySeconds * one.flushes, 0);
  sum.queueDelaySeconds = flushes === 0 ? 0 : delays / flushes;
  return sum;
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

/** Adds numbers, and the numbers of two lists or records of the same shape. */
function add(left: unknown, right: unknown): unknown {
  if (typeof left === 'number' && typeof right === 'number') return left + right;
  if (Array.isArray(left) && Array.isArray(right)) return left.map((value, i) => add(value, right[i]));
  const [a, b] = [left, right] as [Record<string, unknown>, Record<string, unknown>];
  return Object.fromEntries(Object.keys(a).map((name) => [name, add(a[name], b[name])]));
}
