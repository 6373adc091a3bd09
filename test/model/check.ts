import fc from 'fast-check';
import { COMMANDS } from './commands.ts';
import { Model, type Policy } from './model.ts';
import { World } from './world.ts';

const MOST_COMMANDS = 60;

/** Longest time of a run, or of reducing a failure, in milliseconds. */
const MOST_MS = 90_000;

/** The options of a check. */
export interface ModelCheck {
  /** Seed of the first run; each further run has the next number. */
  readonly seed: number;
  readonly runs: number;
  /** No further run begins after this time, in seconds. */
  readonly seconds: number;
  /** Path of a failure: repeats only this run. */
  readonly path?: string | undefined;
  /** Replay path of a failure: the commands of it that were executed. */
  readonly replayPath?: string | undefined;
}

/**
 * Runs random operations on real relays and compares each with the model. Throws with the smallest failing list of
 * operations.
 */
export async function checkModel(check: ModelCheck): Promise<{ readonly runs: number; readonly commands: number }> {
  const { replayPath, path } = check;
  const startedAt = performance.now();
  const done = { runs: 0, commands: 0 };
  const property = fc.asyncProperty(
    fc.constantFrom<Policy>('last-writer', 'disable-fighters'),
    fc.commands(COMMANDS, {
      maxCommands: MOST_COMMANDS,
      size: 'max',
      ...(replayPath === undefined ? {} : { replayPath }),
    }),
    fc.constantFrom(2, 3),
    // One run in four changes the list of keys, which the relay reads once a second.
    fc.nat({ max: 3 }),
    async (policy, commands, mostPerKey, luck) => {
      const world = await World.start(policy, mostPerKey);
      try {
        const model = new Model(policy, mostPerKey, luck === 0);
        await fc.asyncModelRun(() => ({ model, real: world }), commands);
        await world.finish(model);
        done.commands += [...commands].length;
      } finally {
        await world.stop();
      }
    },
  );
  for (; done.runs < check.runs && performance.now() - startedAt < check.seconds * 1000; done.runs++) {
    await fc.assert(property, {
      seed: check.seed + done.runs,
      numRuns: 1,
      // A single run per seed would prefer short lists.
      unbiased: true,
      interruptAfterTimeLimit: MOST_MS,
      markInterruptAsFailure: true,
      ...(path === undefined ? {} : { path }),
    });
  }
  return done;
}
