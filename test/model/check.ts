import fc from 'fast-check';
import { COMMANDS } from './commands.ts';
import { Model, type Policy } from './model.ts';
import { type Repeated, runSeeds, stepLists } from './random-steps.ts';
import { World } from './world.ts';

/** Longest time of a run, or of reducing a failure, in milliseconds. */
const MOST_MS = 90_000;

/** The options of a check. */
export interface ModelCheck extends Repeated {
  readonly runs: number;
}

/**
 * Runs random operations on real relays and compares each with the model. Throws with the smallest failing list of
 * operations.
 */
export async function checkModel(check: ModelCheck): Promise<{ readonly runs: number; readonly commands: number }> {
  let done = 0;
  const property = fc.asyncProperty(
    fc.constantFrom<Policy>('last-writer', 'disable-fighters'),
    stepLists(COMMANDS, check),
    fc.constantFrom(2, 3),
    // One run in four changes the list of keys, which the relay reads once a second.
    fc.nat({ max: 3 }),
    async (policy, commands, mostPerKey, luck) => {
      const world = await World.start(policy, mostPerKey);
      try {
        const model = new Model(policy, mostPerKey, luck === 0);
        await fc.asyncModelRun(() => ({ model, real: world }), commands);
        await world.finish(model);
        done += [...commands].length;
      } finally {
        await world.stop();
      }
    },
  );
  const runs = await runSeeds(property, check, MOST_MS, (count) => count < check.runs);
  return { runs, commands: done };
}
