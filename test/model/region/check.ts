import fc from 'fast-check';
import { type Repeated, runSeeds, stepLists } from '../random-steps.ts';
import { COMMANDS } from './commands.ts';
import { RegionModel } from './model.ts';
import { RegionWorld } from './world.ts';

/** Longest time of a run, or of reducing a failure, in milliseconds. */
const MOST_MS = 300_000;

/** The options of a check. */
export interface RegionCheck extends Repeated {
  /** No further run begins after this number of steps. */
  readonly steps: number;
}

/**
 * Runs random steps on three relays of a region and compares each with the model. The relays stay from one run to the next,
 * so that a failure can be reduced in reasonable time; after a failure there are new ones. Throws with the smallest failing
 * list of steps.
 */
export async function checkRegion(check: RegionCheck): Promise<{ readonly runs: number; readonly steps: number }> {
  let done = 0;
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
  const property = fc.asyncProperty(stepLists(COMMANDS, check), async (steps) => {
    await play(steps);
    done += [...steps].length;
  });
  try {
    const runs = await runSeeds(property, check, MOST_MS, () => done < check.steps);
    return { runs, steps: done };
  } finally {
    await (world as RegionWorld | null)?.stop();
  }
}
