import { FOREIGN_SHARE, Fresh, type Case, type RoundContext, type Sample } from './case.ts';
import type { BenchOptions } from './options.ts';
import type { RelayFiles } from './programs.ts';
import { awaitQuiet } from './quiet.ts';
import { checkoutOf, Server, type Placement, type ServerName } from './server.ts';

/** One run of one case against one server, or why there is none. */
export interface Run {
  readonly round: number;
  readonly case: string;
  readonly server: ServerName;
  readonly sample: Sample | null;
  readonly error: string | null;
  /** Time of the run in seconds, with the start and stop of the server. */
  readonly seconds: number;
}

/** The input of a run of all rounds, and the functions that get its results. */
export interface Rounds {
  readonly options: BenchOptions;
  readonly files: RelayFiles;
  readonly cases: readonly Case[];
  /** Runs of an earlier, interrupted start, which are not repeated. */
  readonly known: readonly Run[];
  progress(text: string): void;
  /** Called at once after each run, so that an interruption loses nothing. */
  ended(run: Run): void;
}

const WARM_FLAGS = ['-warm', '2s'];
/** Shorter warm-up for a server that has run a case already: its code is compiled. */
const WARM_AGAIN_FLAGS = ['-warm', '700ms'];
const FULL_WINDOWS = ['-windows', '3', '-window-time', '700ms'];
const SHORT_WINDOWS = ['-windows', '2', '-window-time', '500ms'];
const PER_ROUND_WINDOWS = ['-windows', '3', '-window-time', '500ms'];

/** Runs all rounds. The servers take turns within each case, in another order each round. */
export async function runRounds(rounds: Rounds): Promise<void> {
  const patience = { leftMs: rounds.options.patienceSeconds * 1000 };
  for (let round = 0; round < Math.max(rounds.options.rounds, 1); round++) {
    await new Round(rounds, round, patience).run();
  }
}

/** One round: every case once against every server. */
class Round {
  readonly #rounds: Rounds;
  readonly #round: number;
  /** Servers that stay until the round ends. */
  readonly #kept = new Map<ServerName, Server>();
  readonly #ceilings = new Map<ServerName, number>();

  readonly #patience: { leftMs: number };

  constructor(rounds: Rounds, round: number, patience: { leftMs: number }) {
    this.#rounds = rounds;
    this.#round = round;
    this.#patience = patience;
  }

  async run(): Promise<void> {
    const { cases, options } = this.#rounds;
    for (const one of cases) {
      if (this.#round >= one.rounds) continue;
      const servers = one.servers ?? options.servers;
      const known = this.#knownRuns(one, servers);
      if (known !== null) {
        for (const run of known) this.#noteCeiling(run);
        continue;
      }
      for (const name of rotated(servers, this.#round)) {
        this.#rounds.progress(`round ${this.#round + 1}/${options.rounds}, ${one.name}, ${name}`);
        const run = await this.#runCalmly(one, name);
        this.#noteCeiling(run);
        this.#rounds.ended(run);
        if (run.error !== null) this.#rounds.progress(`${one.name}, ${name}: ${run.error}\n`);
      }
    }
    await this.#stopKept();
  }

  /** Returns the runs of this case in this round, or null unless every server has one: a comparison needs all of them. */
  #knownRuns(one: Case, servers: readonly ServerName[]): Run[] | null {
    const runs = this.#rounds.known.filter(
      (run) => run.case === one.name && run.round === this.#round && run.error === null,
    );
    return servers.every((name) => runs.some((run) => run.server === name)) ? runs : null;
  }

  #noteCeiling(run: Run): void {
    const perSecond = run.sample?.values['perSecond'] ?? null;
    if (run.case === 'closed' && perSecond !== null) this.#ceilings.set(run.server, perSecond);
  }

  /** Repeats a run that other programs have disturbed. Does not repeat a failed run. */
  async #runCalmly(one: Case, name: ServerName): Promise<Run> {
    let best = await this.#runOne(one, name);
    for (let repeat = 0; repeat < this.#rounds.options.repeats && foreignShareOf(best) > FOREIGN_SHARE; repeat++) {
      const next = await this.#runOne(one, name);
      if (next.error !== null) return next;
      if (foreignShareOf(next) < foreignShareOf(best)) best = next;
    }
    return best;
  }

  async #runOne(one: Case, name: ServerName): Promise<Run> {
    if (this.#patience.leftMs > 0) this.#patience.leftMs -= await awaitQuiet(this.#patience.leftMs);
    const { options, files } = this.#rounds;
    const started = performance.now();
    const keep = one.fresh === Fresh.PerRound || (options.short && one.fresh === Fresh.WhenFull);
    const known = keep ? this.#kept.get(name) : undefined;
    const fullWindows = keep ? PER_ROUND_WINDOWS : FULL_WINDOWS;
    const windows = [
      ...(known === undefined ? WARM_FLAGS : WARM_AGAIN_FLAGS),
      ...(options.short ? SHORT_WINDOWS : fullWindows),
    ];
    let server: Server | undefined;
    const failed: string[] = [];
    let sample: Sample | null = null;
    try {
      server = known ?? (await Server.start(name, files, this.#placement(one, name, keep)));
      if (keep) this.#kept.set(name, server);
      const context: RoundContext = { options, files, ceilings: this.#ceilings, windows };
      if (one.needsCeiling && !this.#ceilings.has(name)) throw new Error('the case closed failed in this round');
      sample = await one.run(server, context);
    } catch (error) {
      failed.push(messageOf(error));
    }
    if (server !== undefined && (!keep || failed.length > 0)) {
      if (keep) this.#kept.delete(name);
      failed.push(...(await stopped(server)));
    }
    const seconds = (performance.now() - started) / 1000;
    const error = failed.length > 0 ? failed.join('; ') : null;
    return { round: this.#round, case: one.name, server: name, sample, error, seconds };
  }

  #placement(one: Case, name: ServerName, keep: boolean): Placement {
    return {
      pinned: one.pinned,
      loopDelay: one.loopDelay && !keep,
      ...(one.env === undefined ? {} : { env: one.env }),
      ...checkoutOf(name, this.#rounds.options.before),
    };
  }

  async #stopKept(): Promise<void> {
    for (const [name, server] of this.#kept) {
      for (const error of await stopped(server)) {
        this.#rounds.ended({ round: this.#round, case: 'stop', server: name, sample: null, error, seconds: 0 });
      }
    }
  }
}

/** Stops a server; returns its error, if it has one. */
async function stopped(server: Server): Promise<string[]> {
  try {
    await server.stop();
    return [];
  } catch (error) {
    return [messageOf(error)];
  }
}

function foreignShareOf(run: Run): number {
  return run.sample?.foreignShare ?? 0;
}

function rotated<T>(values: readonly T[], by: number): T[] {
  const at = by % values.length;
  return [...values.slice(at), ...values.slice(0, at)];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
