/**
 * Sends the same input to derper and to our relay, and compares their behaviour: `npm run test:differential`,
 * with `--seed N --inputs 500 --runtime bun`. A difference that is not in differences.ts fails it. The corpus comes
 * first; the default seed is fixed, so that a run in CI can be repeated.
 */
import { parseArgs } from 'node:util';
import { RUNTIMES } from '../../src/cli/runtime.ts';
import { readCorpus } from './corpus.ts';
import { Derper, derpers } from './derper.ts';
import { chosenDifference } from './differences.ts';
import { generate } from './generate.ts';
import type { Input } from './input.ts';
import { play } from './play.ts';
import { FuzzedRelay } from './relay.ts';

const PATIENCE_MS = 700;
const AT_ONCE = 8;
/** Kinds of input that derper has too, and that need no TLS. */
const COMPARED = new Set(['a changed ClientInfo', 'frames', 'a changed request head']);

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    inputs: { type: 'string', default: '200' },
    runtime: { type: 'string', default: 'node' },
    verbose: { type: 'boolean', default: false },
  },
});
const runtime = RUNTIMES.find((name) => name === values.runtime);
if (runtime === undefined) throw new Error(`--runtime is ${values.runtime}; it can be ${RUNTIMES.join(' or ')}`);
const programs = [...derpers()];
const [version, program] = programs.at(-1) ?? [];
if (program === undefined) throw new Error('there is no derper: test/interop/run.sh build makes it');
const inputs = [...readCorpus(), ...generated(Number(values.seed), Number(values.inputs))];
console.log(`differential: derper ${version} and ${runtime}, ${inputs.length} inputs, seed ${values.seed}`);
const ours = new FuzzedRelay(runtime, 'as it comes');
const derper = await Derper.start(program);
const chosen = new Map<string, number>();
let failed = 0;
try {
  const target = await ours.started();
  const work = async (): Promise<void> => {
    for (let input = inputs.shift(); input !== undefined; input = inputs.shift()) {
      const there = await play(input, derper.target, PATIENCE_MS);
      const here = await play(input, target, PATIENCE_MS);
      if (values.verbose) console.log(`${input.name}: derper ${there}; towpath ${here}`);
      if (here === there) continue;
      const reason = chosenDifference(input, there, here);
      if (reason === null) {
        failed++;
        console.error(`differential: ${input.name}: derper: ${there}; towpath: ${here}`);
        console.error(`  ${JSON.stringify(input).slice(0, 1500)}`);
      } else {
        chosen.set(reason, (chosen.get(reason) ?? 0) + 1);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
} finally {
  await derper.stop();
  await ours.clean();
}
for (const [reason, count] of chosen) console.log(`differential: chosen, ${count} times: ${reason}`);
console.log(`differential: ${failed === 0 ? 'passed' : `${failed} differences that nobody chose`}`);
process.exit(failed === 0 ? 0 : 1);

function generated(seed: number, count: number): Input[] {
  const found: Input[] = [];
  for (let next = seed; found.length < count; next++) {
    const input = generate(next, { hellos: [Buffer.alloc(0)], behindProxy: false, corpus: [] });
    if (COMPARED.has(input.name) && input.port === 'derp') found.push({ ...input, tls: {}, end: 'fin' });
  }
  return found;
}
