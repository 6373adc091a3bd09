/**
 * Runs the model tests longer, or repeats one. `node test/model/run.ts --steps 5000` makes 5000 steps in a region of three relays;
 * `--seconds 600` without it makes operations on one relay. `--seed N` sets the seed; with the path and replay path of a failure it repeats only
 * that one. `npm run test:model` does the same.
 */
import { parseArgs } from 'node:util';
import { checkModel } from './check.ts';
import { checkRegion } from './region/check.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    steps: { type: 'string' },
    seconds: { type: 'string' },
    runs: { type: 'string', default: '1000000' },
    path: { type: 'string' },
    'replay-path': { type: 'string' },
  },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const again = { seed, path: values.path, replayPath: values['replay-path'] };
console.log(`model: seed ${seed}`);
try {
  if (values.steps === undefined) {
    const limits = { runs: Number(values.runs), seconds: Number(values.seconds ?? 120) };
    const { runs, commands } = await checkModel({ ...again, ...limits });
    console.log(`model: ${runs} runs of ${commands} commands in all, 0 failed`);
  } else {
    const limits = { steps: Number(values.steps), seconds: Number(values.seconds ?? Infinity) };
    const { runs, steps } = await checkRegion({ ...again, ...limits });
    console.log(`model: ${runs} runs of ${steps} steps in a region in all, 0 failed`);
  }
} catch (error) {
  console.error(error);
  console.error('model: failed; again with the --seed, --path and --replay-path above, and --runs 1 or --steps 1');
  process.exitCode = 1;
}
