import { suite, test } from 'node:test';
import { checkRegion } from './region/check.ts';

const STEPS = 60;
const SECONDS = 3;

suite('random steps in a region', () => {
  test('three relays do together what the model says', { timeout: 120_000 }, async (context) => {
    const given = process.env['TOWPATH_TEST_MODEL_SEED'];
    const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
    const note = `seed ${seed}: repeat with npm run test:model -- --steps ${STEPS} --seed ${seed}`;
    // Bun's test context has no diagnostics.
    if (typeof context.diagnostic === 'function') context.diagnostic(note);
    else console.log(note);
    await checkRegion({ seed, steps: STEPS, seconds: SECONDS });
  });
});
