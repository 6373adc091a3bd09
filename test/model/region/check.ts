import fc from 'fast-check';
import { COMMANDS } from './commands.ts';
import { RegionModel } from './model.ts';
import { RegionWorld } from './world.ts';

const MOST_STEPS = 60;
/** A run, and the making smaller of a failure, take no longer than this. */
const MOST_MS = 300_000;

/** What to check. */
export interface RegionCheck {
  /** Of the first run; each further one has the next number. */
  readonly seed: number;
  /** No further run begins after so many steps, or after so many seconds. */
  readonly steps: number;
  readonly seconds: number;
  /** Of a failure: repeats only that run. */
  readonly path?: string | undefined;
  /** Of a failure: which of its steps were executed. */
  readonly replayPath?: string | undefined;
}

/**
 * Runs random steps on three relays of a region and compares each with the model. The relays stay from one run to the next,
 * so that a failure is made smaller in reasonable time; after a failure there are new ones. Throws with the smallest failing
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
        // One run of a seed would be biased to short lists.
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
