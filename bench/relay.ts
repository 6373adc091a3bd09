/** Compares relays on this machine; started by run.sh, which builds the programs it needs. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeMachine, formatMachine, type Machine } from './relay/machine.ts';
import { readOptions, type BenchOptions } from './relay/options.ts';
import { makeFiles } from './relay/programs.ts';
import { figuresOf, formatReport } from './relay/report.ts';
import { runRounds, type Measured } from './relay/rounds.ts';

const RESULTS = join(import.meta.dirname, 'results');

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

try {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options !== null) process.exitCode = await bench(options);
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}

/** Returns the exit code: 1 when a run failed or a packet was corrupted, never because of a time. */
async function bench(options: BenchOptions): Promise<number> {
  const machine = describeMachine(options.servers);
  const dir = mkdtempSync(join(tmpdir(), 'bench-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  const started = performance.now();
  const measured = await runRounds(options, await makeFiles(dir), showProgress);
  showProgress('');
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  const table = `${formatMachine(machine)}\n\n${formatReport(measured, options.servers)}\n\n${options.rounds} rounds in ${seconds} s. Median [lowest–highest]; ratios are inside a round.`;
  const json = JSON.stringify(document(options, machine, measured), null, 1);
  if (options.json) {
    console.error(table);
    console.log(json);
  } else {
    console.log(table);
  }
  if (!options.short) keep(machine, json);
  const failed = measured.runs.filter((run) => run.error !== null);
  for (const { round, case: name, server, error } of failed) {
    console.error(`FAILED: ${name}, ${server}, round ${round + 1}: ${error ?? ''}`);
  }
  return failed.length > 0 ? 1 : 0;
}

function document(options: BenchOptions, machine: Machine, measured: Measured): object {
  const cases = measured.cases.map(({ name, title }) => ({ name, title }));
  return { machine, options, cases, figures: figuresOf(measured, options.servers), runs: measured.runs };
}

function keep(machine: Machine, json: string): void {
  mkdirSync(RESULTS, { recursive: true });
  const file = join(RESULTS, `relay-${machine.date.slice(0, 19).replaceAll(':', '')}.json`);
  writeFileSync(file, `${json}\n`);
  console.error(`kept as ${file}`);
}

/** One line that is written over on a terminal, and lines elsewhere, so that a log shows where a run hangs. */
function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
  else if (text !== '') process.stderr.write(`${text.trimEnd()}\n`);
}
