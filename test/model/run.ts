/**
 * The model test for longer, or again: `node test/model/run.ts --seconds 600`, `--seed N`, and with the path and replay
 * path of a failure just that one. `npm run test:model` does the same.
 */
import { parseArgs } from 'node:util';
import { checkModel } from './check.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seconds: { type: 'string', default: '120' },
    runs: { type: 'string', default: '1000000' },
    path: { type: 'string' },
    'replay-path': { type: 'string' },
  },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
console.log(`model: seed ${seed}`);
try {
  const { runs, commands } = await checkModel({
    seed,
    runs: Number(values.runs),
    seconds: Number(values.seconds),
    path: values.path,
    replayPath: values['replay-path'],
  });
  console.log(`model: ${runs} runs of ${commands} commands in all, 0 failed`);
} catch (error) {
  console.error(error);
  console.error('model: failed; again with the --seed, --path and --replay-path above and --runs 1');
  process.exitCode = 1;
}
