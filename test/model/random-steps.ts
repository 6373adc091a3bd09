/** Random steps on something real that is compared with a model: how the steps are made, listed and run. */
import fc from 'fast-check';

/** Most steps of one run. */
const MOST_STEPS = 60;

/** What is compared with the model. */
interface Comparable<Model> {
  agrees(model: Model): Promise<unknown>;
}

/** The options of a check. */
export interface Repeated {
  /** Seed of the first run; each further run has the next number. */
  readonly seed: number;
  /** No further run begins after this time, in seconds. */
  readonly seconds: number;
  /** Path of a failure: repeats only this run. */
  readonly path?: string | undefined;
  /** Replay path of a failure: the steps of it that were executed. */
  readonly replayPath?: string | undefined;
}

/** A function that makes a step from its name, when it is possible, and what it does. */
type MakeStep<Model extends object, World extends object> = (
  name: string,
  possible: (model: Model) => boolean,
  act: (model: Model, world: World) => Promise<void>,
) => fc.AsyncCommand<Model, World>;

/** Returns the {@link MakeStep} for a model and what is compared with it after each step. */
export function stepMaker<Model extends object, World extends Comparable<Model>>(): MakeStep<Model, World> {
  return (name, possible, act) => ({
    check: possible,
    run: async (model, world) => {
      await act(model, world);
      await world.agrees(model);
    },
    toString: () => name,
  });
}

/** Lists of these steps. */
export function stepLists<Model extends object, World extends object>(
  steps: fc.Arbitrary<fc.AsyncCommand<Model, World>>[],
  { replayPath }: Repeated,
): fc.Arbitrary<Iterable<fc.AsyncCommand<Model, World>>> {
  return fc.commands(steps, {
    maxCommands: MOST_STEPS,
    size: 'max',
    ...(replayPath === undefined ? {} : { replayPath }),
  });
}

/**
 * Checks `property` once per seed while `wantsMore` is true and there is time. `mostMs`: longest time of a run, or of reducing a
 * failure. Returns the number of runs; throws with the smallest failing list of steps.
 */
export async function runSeeds<Values>(
  property: fc.IAsyncProperty<Values>,
  { seed, seconds, path }: Repeated,
  mostMs: number,
  wantsMore: (runs: number) => boolean,
): Promise<number> {
  const startedAt = performance.now();
  let runs = 0;
  for (; wantsMore(runs) && performance.now() - startedAt < seconds * 1000; runs++) {
    await fc.assert(property, {
      seed: seed + runs,
      numRuns: 1,
      // A single run per seed would prefer short lists.
      unbiased: true,
      interruptAfterTimeLimit: mostMs,
      markInterruptAsFailure: true,
      ...(path === undefined ? {} : { path }),
    });
  }
  return runs;
}
