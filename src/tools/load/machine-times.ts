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

/** Returns the idle part of all CPU time since `before`, 0 to 1. */
export function idleSince(before: MachineTimes): number {
  const now = machineTimes();
  return now.all === before.all ? 1 : (now.idle - before.idle) / (now.all - before.all);
}

/** Returns the tester's version and machine as text: results of different machines cannot be compared. */
export function machineText(): string {
  const all = cpus();
  const model = all[0]?.model.trim() ?? '';
  const processors = `${all.length} CPUs${model === '' ? '' : ` (${model})`}`;
  return `towpath ${VERSION} on ${RUNTIME}, ${process.platform} ${process.arch}, ${processors}`;
}
