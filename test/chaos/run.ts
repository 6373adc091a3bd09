/**
 * Gives relays problems of real machines and networks, and checks the conditions for each: `npm run test:chaos`, with
 * `--runtime bun`, `--only NAME`, `--scale N` for more of it. A scenario that this machine cannot run is listed, not passed.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { RUNTIMES } from '../../src/cli/runtime.ts';
import { NotPossible, ChaosContext, SCENARIOS, type Scenario } from './scenarios.ts';

const { values } = parseArgs({
  options: {
    runtime: { type: 'string', default: 'node' },
    only: { type: 'string' },
    scale: { type: 'string', default: '1' },
    /** Set by this program itself, inside the network namespace that it has made. */
    inside: { type: 'boolean', default: false },
  },
});
const runtime = RUNTIMES.find((name) => name === values.runtime);
if (runtime === undefined) throw new Error(`--runtime is ${values.runtime}; it can be ${RUNTIMES.join(' or ')}`);
const wanted = SCENARIOS.filter(({ name }) => values.only === undefined || name === values.only);
if (wanted.length === 0) throw new Error(`--only can be ${SCENARIOS.map(({ name }) => `"${name}"`).join(', ')}`);
const NOT_POSSIBLE = 3;
let failed = 0;
let skipped = 0;
for (const scenario of wanted) {
  if (process.stdout.isTTY) process.stdout.write(`… ${scenario.name}\r`);
  const startedAt = performance.now();
  const code = scenario.ownNetwork && !values.inside ? inOwnNetwork(scenario) : await here(scenario);
  if (values.inside) process.exit(code);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const verdict = code === 0 ? 'ok' : code === NOT_POSSIBLE ? 'not possible here' : 'FAILED';
  console.log(`chaos: ${scenario.name}, ${runtime}: ${verdict}, ${seconds} s (${scenario.holds})`);
  if (code === NOT_POSSIBLE) skipped++;
  else if (code !== 0) failed++;
}
console.log(`chaos: ${wanted.length - failed - skipped} passed, ${failed} failed, ${skipped} not possible here`);
process.exit(failed === 0 ? 0 : 1);

async function here({ name, run }: Scenario): Promise<number> {
  const context = new ChaosContext(runtime!, Number(values.scale));
  try {
    await run(context);
    return 0;
  } catch (error) {
    const isOurs = error instanceof Error && !(error instanceof NotPossible);
    console.error(`chaos: ${name}: ${isOurs ? (error.stack ?? error.message) : String(error)}`);
    return error instanceof NotPossible ? NOT_POSSIBLE : 1;
  } finally {
    await context.clean();
  }
}

function inOwnNetwork({ name }: Scenario): number {
  const command = [process.execPath, import.meta.filename, '--inside', '--only', name, '--runtime', runtime!];
  const more = ['--scale', values.scale];
  const script = 'ip link set lo up && exec "$@"';
  const { status } = spawnSync('unshare', ['-n', 'sh', '-c', script, 'sh', ...command, ...more], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  // Without root there is no namespace: unshare says so on standard error.
  return status ?? 1;
}
