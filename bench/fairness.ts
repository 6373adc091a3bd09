/** Measures fairness with `towpath load`; started by fairness.sh. Exit code 1 when a run failed, never because of a bar. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { fairnessCases, type FairnessCase, type LoadMetrics, type Wanted } from './fairness/cases.ts';
import { describeMachine, formatVersions, machineSlug } from './relay/machine.ts';
import { renderPage, type FairnessResults } from './relay/page.ts';
import { GENERATOR_CPU, makeFiles, type RelayFiles } from './relay/programs.ts';
import { RESULTS_FOLDER } from './relay/results.ts';
import { Server, ServerName } from './relay/server.ts';
import { formatSummary, summarize } from './relay/statistics.ts';

const run = promisify(execFile);

const LOAD = join(import.meta.dirname, '..', 'src', 'main.ts');
const OUTPUT_BYTES = 64 << 20;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '10' },
    stalled: { type: 'string', default: '5000' },
    cases: { type: 'string', default: '' },
    dry: { type: 'boolean', default: false },
  },
});

const measured = new Map<string, number[]>();
const failures: string[] = [];
const dir = mkdtempSync(join(tmpdir(), 'fairness-'));
process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
const files = await makeFiles(dir);
const cases = fairnessCases(Number(values.stalled)).filter(
  ({ name }) => values.cases === '' || values.cases.split(',').includes(name),
);
for (let round = 0; round < Number(values.rounds); round++) {
  for (const one of cases) {
    for (const runtime of [ServerName.Node, ServerName.Bun]) await measure(one, runtime, round);
  }
}
const results = summed();
for (const row of results.rows) {
  const verdict = row.met === null ? '' : row.met ? 'met' : 'MISSED';
  console.log([row.case, row.wanted, row.measured, verdict].join('  '));
}
if (!values.dry) await keep(results);
for (const failure of failures) console.error(`FAILED: ${failure}`);
process.exitCode = failures.length > 0 ? 1 : 0;

async function measure(one: FairnessCase, runtime: ServerName, round: number): Promise<void> {
  console.error(`round ${round + 1}/${values.rounds}, ${one.name}, ${runtime}`);
  try {
    const metrics = await load(one, runtime, files);
    for (const wanted of one.wanted) {
      const value = metrics[wanted.metric] ?? null;
      if (value === null) throw new Error(`towpath load gives no ${wanted.metric}`);
      const key = keyOf(one, runtime, wanted);
      measured.set(key, [...(measured.get(key) ?? []), value * wanted.scale]);
    }
  } catch (error) {
    failures.push(
      `${one.name}, ${runtime}, round ${round + 1}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** One run against a fresh relay on its own core. */
async function load(one: FairnessCase, runtime: ServerName, files: RelayFiles): Promise<LoadMetrics> {
  const server = await Server.start(runtime, files, { pinned: true, loopDelay: false, env: one.environment });
  try {
    const { stdout } = await run(
      'taskset',
      [
        ...[
          '-c',
          String(GENERATOR_CPU),
          process.execPath,
          LOAD,
          'load',
          one.scenario,
          `https://${server.address}/derp`,
        ],
        ...[
          '--insecure',
          '--json',
          '--workers',
          '1',
          '--duration',
          String(Number(values.seconds) * one.longer),
          '--server-pid',
          String(server.pid),
        ],
        ...one.flags,
      ],
      { maxBuffer: OUTPUT_BYTES },
    );
    return (JSON.parse(stdout) as { metrics: LoadMetrics }).metrics;
  } finally {
    await server.stop();
  }
}

function summed(): FairnessResults {
  const machine = describeMachine([ServerName.Bun]);
  const rows = cases.flatMap((one) =>
    [ServerName.Node, ServerName.Bun].flatMap((runtime) =>
      one.wanted.map((wanted, index) => {
        const summary = summarize(measured.get(keyOf(one, runtime, wanted)) ?? []);
        return {
          case: index === 0 ? `${one.title}, ${runtime}` : '',
          wanted: `${wanted.title}${wanted.bar === null ? '' : ` ${wanted.bar.direction} ${wanted.bar.limit}${wanted.unit}`}`,
          measured: summary === null ? 'failed' : `${formatSummary(summary, wanted.digits)}${wanted.unit}`,
          met: wanted.bar === null ? null : summary !== null && holds(wanted.bar, summary.median),
        };
      }),
    ),
  );
  const when = machine.date.slice(0, 16).replace('T', ' ');
  // This setting decides how much unread data is in the kernel instead of the relay.
  const lowat = readFileSync('/proc/sys/net/ipv4/tcp_notsent_lowat', 'utf8').trim();
  const title = `${when} UTC, ${values.rounds} rounds of ${values.seconds} s, ${formatVersions(machine.versions)}, \`tcp_notsent_lowat\` ${lowat}. The relay has one core, the load tester the other.`;
  return { machine, title, rows };
}

function holds(bar: NonNullable<Wanted['bar']>, value: number): boolean {
  return bar.direction === '≤' ? value <= bar.limit : value >= bar.limit;
}

function keyOf(one: FairnessCase, runtime: ServerName, wanted: Wanted): string {
  return `${one.name} ${runtime} ${wanted.metric}`;
}

async function keep(kept: FairnessResults): Promise<void> {
  mkdirSync(RESULTS_FOLDER, { recursive: true });
  const { machine } = kept;
  const file = join(RESULTS_FOLDER, `${machine.date.slice(0, 10)}-${machineSlug(machine)}-fairness.json`);
  writeFileSync(file, `${JSON.stringify(kept, null, 1)}\n`);
  console.error(`kept in ${file}`);
  await renderPage([]);
}
