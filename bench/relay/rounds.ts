import { casesOf, FOREIGN_SHARE, type Case, type RoundContext, type Sample } from './cases.ts';
import type { BenchOptions } from './options.ts';
import type { RelayFiles } from './programs.ts';
import { Server, type ServerName } from './server.ts';

/** One run of one case against one server, or why there is none. */
export interface Run {
  readonly round: number;
  readonly case: string;
  readonly server: ServerName;
  readonly sample: Sample | null;
  readonly error: string | null;
}

/** Everything that was measured. */
export interface Measured {
  readonly cases: readonly Case[];
  readonly runs: readonly Run[];
}

const WARM_FLAGS = ['-warm', '2s'];
/** In short mode a server stays for a whole round, so that only its first case meets cold code. */
const WARM_AGAIN_FLAGS = ['-warm', '700ms'];
const FULL_WINDOWS = ['-windows', '3', '-window-time', '800ms'];
const SHORT_WINDOWS = ['-windows', '2', '-window-time', '500ms'];

/** Runs all rounds. The servers take turns within each case, in another order each round. */
export async function runRounds(
  options: BenchOptions,
  files: RelayFiles,
  progress: (text: string) => void,
): Promise<Measured> {
  const cases = casesOf(options);
  const runs: Run[] = [];
  const rounds = Math.max(options.rounds, 1);
  for (let round = 0; round < rounds; round++) {
    const order = rotated(options.servers, round);
    const kept = new Map<ServerName, Server>();
    const ceilings = new Map<ServerName, number>();
    for (const one of cases) {
      if (round >= one.rounds) continue;
      for (const name of order) {
        progress(`round ${round + 1}/${rounds}, ${one.name}, ${name}`);
        const run = await runCalmly(one, name, round, { options, files, ceilings, windows: [] }, kept);
        runs.push(run);
        if (run.error !== null) progress(`${one.name}, ${name}: ${run.error}\n`);
        const perSecond = run.sample?.values['perSecond'] ?? null;
        if (one.name === 'closed' && perSecond !== null) ceilings.set(name, perSecond);
      }
    }
    for (const [name, server] of kept) await stop(server, runs, round, name);
  }
  return { cases, runs };
}

/** Repeats a run that others have disturbed; a failed one is kept as it is. */
async function runCalmly(
  one: Case,
  name: ServerName,
  round: number,
  context: RoundContext,
  kept: Map<ServerName, Server>,
): Promise<Run> {
  let best = await runOne(one, name, round, context, kept);
  for (let repeat = 0; repeat < context.options.repeats && foreignShareOf(best) > FOREIGN_SHARE; repeat++) {
    const next = await runOne(one, name, round, context, kept);
    if (next.error !== null) return next;
    if (foreignShareOf(next) < foreignShareOf(best)) best = next;
  }
  return best;
}

function foreignShareOf(run: Run): number {
  return run.sample?.foreignShare ?? 0;
}

async function runOne(
  one: Case,
  name: ServerName,
  round: number,
  context: RoundContext,
  kept: Map<ServerName, Server>,
): Promise<Run> {
  const { options, files } = context;
  const keep = options.short && !one.fresh;
  const known = keep ? kept.get(name) : undefined;
  const windows = [
    ...(known === undefined ? WARM_FLAGS : WARM_AGAIN_FLAGS),
    ...(options.short ? SHORT_WINDOWS : FULL_WINDOWS),
  ];
  let server: Server | undefined;
  const failed: string[] = [];
  let sample: Sample | null = null;
  try {
    server = known ?? (await Server.start(name, files, one.pinned));
    if (keep) kept.set(name, server);
    sample = await one.run(server, { ...context, windows });
  } catch (error) {
    failed.push(messageOf(error));
  }
  if (server !== undefined && (!keep || failed.length > 0)) {
    if (keep) kept.delete(name);
    try {
      await server.stop();
    } catch (error) {
      failed.push(messageOf(error));
    }
  }
  return { round, case: one.name, server: name, sample, error: failed.length > 0 ? failed.join('; ') : null };
}

async function stop(server: Server, runs: Run[], round: number, name: ServerName): Promise<void> {
  try {
    await server.stop();
  } catch (error) {
    runs.push({ round, case: 'stop', server: name, sample: null, error: messageOf(error) });
  }
}

function rotated<T>(values: readonly T[], by: number): T[] {
  const at = by % values.length;
  return [...values.slice(at), ...values.slice(0, at)];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
