import { TowpathError } from '../../base/errors.ts';
import { openFileLimit } from '../../base/open-files.ts';
import type { LoadPlan } from './plan.ts';

/** Open files of the runtime itself, per worker and in total. */
const OWN_PER_WORKER = 32;
const OWN = 64;

/** How many connections a plan holds at once. */
export function connectionsOf({ groups, stalled, connections, workers }: LoadPlan): number {
  const pairs = groups.reduce((sum, group) => sum + 2 * group.pairs, 0);
  const feeders = stalled === null ? 0 : stalled.receivers + workers;
  return pairs + feeders + (connections?.connections ?? 0);
}

/** Refuses, by a usage error, a plan that needs more open files than this process may have. */
export function refuseTooMany(plan: LoadPlan, allowed: number | null = openFileLimit('self')): void {
  const needed = connectionsOf(plan) + OWN + OWN_PER_WORKER * plan.workers;
  if (allowed === null || needed <= allowed) return;
  throw new TowpathError(
    'TOWPATH_USAGE',
    `${connectionsOf(plan)} connections need ${needed} open files, and this process may have ${allowed}`,
    { hint: `Run "ulimit -n ${needed}" in this shell first. The relay needs the same limit.` },
  );
}
