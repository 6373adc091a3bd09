import fc from 'fast-check';
import { COMMANDS } from './commands.ts';
import { RegionModel } from './model.ts';
import { RegionWorld } from './world.ts';

const MOST_STEPS = 60;
/** Longest time of a run, or of reducing a failure, in milliseconds. */
const MOST_MS = 300_000;

/** The options of a check. */
export interface RegionCheck {
  /** Seed of the first run; each further run has the next number. */
  readonly seed: number;
  /** No further run begins after this number of steps, or after this time in seconds. */
  readonly steps: number;
  readonly seconds: number;
  /** Path of a failure: repeats only this run. */
  readonly path?: string | undefined;
  /** Replay path of a failure: the steps of it that were executed. */
  readonly replayPath?: string | undefined;
}

/**
 * Runs random steps on three relays of a region and compares each with the model. The relays stay from one run to the next,
 * so that a failure can be reduced in reasonable time; after a failure there are new ones. Throws with the smallest failing
 * list of steps.
 */
export async function checkRegion(check: RegionCheck): Promise<{ readonly runs: number; readonly steps: number }> {
  const { replayPath, path } = check;
  const startedAt = performance.now();
  const done = { runs: 0, steps: 0 };
  let world: RegionWorld | null = null;
  const play = async (steps: Iterable<fc.AsyncCommand<RegionModel, RegionWorld>>): Promise<void> => {
    world ??= await RegionWorld.start();
    const model = new RegionModel(world.hasThreads);
    try {
      await world.agrees(model);
      await fc.asyncModelRun(() => ({ model, real: world! }), steps);
      world.reset();
    } catch (error) {
      await world.stop();
      world = null;
      throw error;
    }
  };
  const property = fc.asyncProperty(
    fc.commands(COMMANDS, {
      maxCommands: MOST_STEPS,
      size: 'max',
      ...(replayPath === undefined ? {} : { replayPath }),
    }),
    async (steps) => {
      await play(steps);
      done.steps += [...steps].length;
    },
  );
  try {
    while (done.steps < check.steps && performance.now() - startedAt < check.seconds * 1000) {
      await fc.assert(property, {
        seed: check.seed + done.runs,
        numRuns: 1,
        // A single run per seed would prefer short lists.
        unbiased: true,
        interruptAfterTimeLimit: MOST_MS,
        markInterruptAsFailure: true,
        ...(path === undefined ? {} : { path }),
      });
      done.runs++;
    }
  } finally {
    await (world as RegionWorld | null)?.stop();
  }
  return done;
}
