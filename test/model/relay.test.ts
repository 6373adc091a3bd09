import { suite, test } from 'node:test';
import { checkModel } from './check.ts';

const SECONDS = 6;
const RUNS = 12;

suite('random operations on a relay', () => {
  test('it does and counts what the model says', async (context) => {
    const given = process.env['TOWPATH_TEST_MODEL_SEED'];
    const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
    const note = `seed ${seed}: repeat with npm run test:model -- --seed ${seed}`;
    // Bun's test context has no diagnostics.
    if (typeof context.diagnostic === 'function') context.diagnostic(note);
    else console.log(note);
    await checkModel({ seed, runs: RUNS, seconds: SECONDS });
  });
});
