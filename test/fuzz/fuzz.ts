/**
 * Feeds mutated input to the decoders of the UDP side in a process of their own (`decoders.ts`), and sends mutated input of
 * all kinds to a relay process that also has two correct clients: `node test/fuzz/fuzz.ts`, or
 * `npm run test:fuzz`. It fails if the relay ends, if the two clients lose a packet, or if connections, descriptors and memory do
 * not return to their earlier values. `--seed N` begins with input N; `--replay FILE` sends the inputs of a file.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { findRuntime, RUNTIMES, type RuntimeName } from '../../src/cli/runtime.ts';
import { Canary } from './canary.ts';
import { readCorpus } from './corpus.ts';
import { generate, type Recipe } from './generate.ts';
import type { Input } from './input.ts';
import { play } from './play.ts';
import { FuzzedRelay, scrape, SETUPS, type Setup } from './relay.ts';
import { clientHellos, PROXY_HEADERS } from './samples.ts';

const AT_ONCE = 6;
const PATIENCE_MS = 60;
/** Longest wait of some inputs, in milliseconds: until the relay ends the connection. */
const LONG_PATIENCE_MS = 3000;
/** Number of the last inputs that are kept for the report of a failure. */
const LATEST = 64;
/** Time in milliseconds after which all connections have reached a deadline of the relay. */
const SETTLE_MS = 20_000;
/** Reserve of allocators (issue 9, H2). A run of an hour finds memory that only grows. */
const SLACK_MIB = 160;
const SLACK_DESCRIPTORS = 4;
/** Gauges that are 0 without clients. The scrape itself is an open stream. */
const GAUGES = [
  'towpath_connections',
  'towpath_home_connections',
  'towpath_not_ideal_connections',
  'towpath_local_keys',
  'towpath_duplicate_connections',
];

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    seed: { type: 'string' },
    runtime: { type: 'string', default: 'node' },
    replay: { type: 'string' },
  },
});
const runtime = RUNTIMES.find((name) => name === values.runtime);
if (runtime === undefined) throw new Error(`--runtime is ${values.runtime}; it can be ${RUNTIMES.join(' or ')}`);
const firstSeed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const hellos = await clientHellos();
console.log(`fuzz: ${runtime}, ${values.seconds} s, seed ${firstSeed}`);
const setups = Object.keys(SETUPS) as Setup[];
/** Time of each set-up and of the decoders, in milliseconds. */
const shareMs = (Number(values.seconds) / (setups.length + 1)) * 1000;
let nextSeed = firstSeed;
let failed = values.replay === undefined && !decodersHold(runtime, shareMs) ? 1 : 0;
for (const setup of setups) {
  const problems = await attack(runtime, setup, shareMs);
  for (const problem of problems) console.error(`fuzz: ${setup}: ${problem}`);
  failed += problems.length;
}
console.log(`fuzz: ${failed === 0 ? 'passed' : `${failed} failed; again with --seed ${firstSeed}`}`);
process.exit(failed === 0 ? 0 : 1);

/** Runs `decoders.ts` for `ms`; it prints its problems itself. */
function decodersHold(name: RuntimeName, forMs: number): boolean {
  const program = name === 'node' ? process.execPath : findRuntime(name);
  const script = path.join(import.meta.dirname, 'decoders.ts');
  const parameters = [
    script,
    '--seconds',
    String(forMs / 1000),
    ...(values.seed === undefined ? [] : ['--seed', values.seed]),
  ];
  return spawnSync(program, parameters, { stdio: 'inherit' }).status === 0;
}

/** Attacks one relay for a time; returns the problems. */
async function attack(name: RuntimeName, setup: Setup, forMs: number): Promise<string[]> {
  const behindProxy = setup === 'behind a proxy';
  const recipe: Recipe = { hellos, behindProxy, corpus: readCorpus() };
  const relay = new FuzzedRelay(name, setup);
  const latest: Input[] = [];
  const problems: string[] = [];
  try {
    const target = await relay.started();
    const canary = await Canary.start(target.derp, behindProxy ? PROXY_HEADERS[0]! : null);
    const before = { rss: relay.rssMiB(), descriptors: relay.descriptors() };
    const queue = values.replay === undefined ? [...recipe.corpus] : inputsOf(values.replay);
    const deadline = performance.now() + forMs;
    let played = 0;
    const work = async (worker: number): Promise<void> => {
      while (performance.now() < deadline && relay.isAlive && problems.length === 0) {
        const given = queue.shift();
        if (given === undefined && values.replay !== undefined) return;
        const input = given ?? generate(nextSeed++, recipe);
        latest.push(input);
        if (latest.length > LATEST) latest.shift();
        played++;
        const patienceMs = played % 50 === 0 ? LONG_PATIENCE_MS : PATIENCE_MS;
        try {
          await play(input, target, patienceMs, `127.0.${worker}.${2 + (played % 250)}`);
        } catch (error) {
          problems.push(
            `the fuzzer itself: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
          );
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, (_, worker) => work(worker)));
    const worst = canary.worstMs;
    const busy = relay.isAlive ? relay.rssMiB() : 0;
    await canary.stop();
    problems.push(...canary.problems);
    if (!relay.isAlive) problems.push(`the relay is gone:\n${relay.output}`);
    else problems.push(...(await leftovers(relay, target.admin, before)));
    if (relay.problem !== null) problems.push(`the log tells of a bug:\n${relay.problem}`);
    const memory = `RSS ${before.rss.toFixed(0)} → ${busy.toFixed(0)} MiB`;
    console.log(
      `fuzz: ${setup}: ${played} inputs, ${canary.received} of ${canary.sent} packets beside them, worst ${worst.toFixed(0)} ms, ${memory}`,
    );
    if (relay.isAlive) {
      const [code] = await relay.end();
      if (code !== 0) problems.push(`the relay ended with ${String(code)}`);
    }
  } finally {
    await relay.clean();
  }
  if (problems.length > 0) {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'towpath-fuzz-')), 'inputs.jsonl');
    writeFileSync(file, latest.map((input) => `${JSON.stringify(input)}\n`).join(''));
    problems.push(`the last inputs are in ${file}: play them with --replay ${file}`);
  }
  return problems;
}

/** Returns the values that did not return to their start after all connections have ended. */
async function leftovers(
  relay: FuzzedRelay,
  admin: number,
  before: { readonly rss: number; readonly descriptors: number },
): Promise<string[]> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const metrics = await scrape(admin);
    const missing = GAUGES.filter((name) => !metrics.has(name));
    if (missing.length > 0) return [`no such metrics: ${missing.join(', ')}`];
    const wrong = GAUGES.filter((name) => metrics.get(name) !== 0).map((name) => `${name} is ${metrics.get(name)!}`);
    const streams = metrics.get('towpath_open_streams');
    if (streams !== 1) wrong.push(`${streams} open streams, one of which is the scrape's`);
    const descriptors = relay.descriptors();
    if (descriptors > before.descriptors + SLACK_DESCRIPTORS)
      wrong.push(`${descriptors} descriptors, before ${before.descriptors}`);
    const rss = relay.rssMiB();
    if (rss > before.rss + SLACK_MIB) wrong.push(`RSS is ${rss.toFixed(0)} MiB, before ${before.rss.toFixed(0)}`);
    if (wrong.length === 0 || performance.now() > deadline) return wrong;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

function inputsOf(file: string): Input[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Input);
}
