import { cpus } from 'node:os';
import { RUNTIME, VERSION } from '../../base/version.ts';

/** Times of all CPUs together since the start of the machine, in milliseconds. */
export interface MachineTimes {
  readonly idle: number;
  readonly all: number;
}

/** The times now. */
export function machineTimes(): MachineTimes {
  let idle = 0;
  let all = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    all += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { idle, all };
}

/** Part of all CPU time since `before` that nobody used, 0 to 1. */
export function idleSince(before: MachineTimes): number {
  const now = machineTimes();
  return now.all === before.all ? 1 : (now.idle - before.idle) / (now.all - before.all);
}

/** What measured, and on what: numbers of two machines say nothing about each other. */
export function machineText(): string {
  const all = cpus();
  const model = all[0]?.model.trim() ?? '';
  const processors = `${all.length} CPUs${model === '' ? '' : ` (${model})`}`;
  return `towpath ${VERSION} on ${RUNTIME}, ${process.platform} ${process.arch}, ${processors}`;
}
