/**
 * Feeds changed input to the decoders of the UDP side and of the control protocol, inside this process:
 * `node test/fuzz/decoders.ts [--seconds 30] [--seed N] [--target NAME]`, on either runtime; `npm run test:fuzz` starts it.
 * An input is a target and a seed. `--inputs 1 --seed N --target NAME` repeats one.
 */
import { parseArgs } from 'node:util';
import { ALLOCATION_TARGET } from './decoders/allocation-target.ts';
import { readCorpus } from './decoders/corpus.ts';
import { MAP_TARGETS } from './decoders/map-targets.ts';
import { NOISE_TARGETS } from './decoders/noise-target.ts';
import { RULES_TARGET } from './decoders/rules-target.ts';
import { inputFor, type Target } from './decoders/target.ts';
import { WIRE_TARGETS } from './decoders/wire-targets.ts';
import { Random } from './random.ts';

/** Time of each target in one turn, in milliseconds. */
const TURN_MS = 200;
/** Largest growth of the process after a third of the time: state that grows with each input grows more. */
const SLACK_MIB = 400;

const TARGETS: readonly Target[] = [...WIRE_TARGETS, RULES_TARGET, ALLOCATION_TARGET, ...MAP_TARGETS, ...NOISE_TARGETS];

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    seed: { type: 'string' },
    target: { type: 'string' },
    inputs: { type: 'string', default: 'Infinity' },
  },
});
const targets = TARGETS.filter(({ name }) => values.target === undefined || name === values.target);
if (targets.length === 0)
  throw new Error(`--target is ${values.target}; it can be ${TARGETS.map(({ name }) => name).join(', ')}`);
const firstSeed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const mebibytes = (): number => process.memoryUsage.rss() / 2 ** 20;
let nextSeed = firstSeed;
let before = 0;

/** Feeds the input of a seed, or `given` with the other random values of the seed. */
async function feed(target: Target, seed: number, given?: Buffer): Promise<void> {
  const random = new Random(seed);
  const input = given ?? inputFor(target, random);
  try {
    await target.feed(input, random);
  } catch (error) {
    const again =
      given === undefined ? `again with --inputs 1 --seed ${seed} --target '${target.name}'` : 'from the corpus';
    console.error(`decoders: ${target.name}, seed ${seed}, ${input.toString('hex')}, ${again}:`);
    console.error(error);
    process.exit(1);
  }
}

const fed = new Map<Target, number>(targets.map((target) => [target, 0]));
for (const { target: name, hex, seed } of values.seed === undefined ? readCorpus() : []) {
  const target = targets.find((one) => one.name === name);
  if (target !== undefined) await feed(target, seed, Buffer.from(hex, 'hex'));
}
const startedAt = performance.now();
const end = startedAt + Number(values.seconds) * 1000;
/** The time from which the memory is steady: all code is compiled, and the allocators have their reserve. */
const steadyAt = startedAt + (end - startedAt) / 3;
let left = Number(values.inputs);
while (performance.now() < end && left > 0) {
  for (const target of targets) {
    const turn = performance.now() + TURN_MS;
    let count = 0;
    for (; performance.now() < turn && left > 0; left--, count++) await feed(target, nextSeed++);
    fed.set(target, fed.get(target)! + count);
  }
  if (before === 0 || performance.now() < steadyAt) before = Math.max(before, mebibytes());
}
const grown = mebibytes() - before;
const counts = [...fed].map(([{ name }, count]) => `${name} ${count}`).join(', ');
console.log(`decoders: seed ${firstSeed}, RSS ${before.toFixed(0)} + ${grown.toFixed(0)} MiB; inputs: ${counts}`);
if (grown > SLACK_MIB) {
  console.error(`decoders: the process has grown by ${grown.toFixed(0)} MiB`);
  process.exit(1);
}
process.exit(0);
