/** Compares relays on this machine; started by run.sh, which builds the programs it needs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { casesOf } from './relay/cases.ts';
import { describeMachine, formatMachine } from './relay/machine.ts';
import { readOptions, type BenchOptions } from './relay/options.ts';
import { renderPage } from './relay/page.ts';
import { makeFiles } from './relay/programs.ts';
import { formatReport } from './relay/report.ts';
import {
  merged,
  NO_RESULTS,
  RESULTS_FOLDER,
  todaysFile,
  tryRead,
  writeResults,
  type Results,
} from './relay/results.ts';
import { runRounds, type Run } from './relay/rounds.ts';

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
  const cases = casesOf(options);
  const dir = mkdtempSync(join(tmpdir(), 'bench-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  const file = options.out ?? todaysFile(machine);
  const earlier = options.short ? NO_RESULTS : (tryRead(file) ?? NO_RESULTS);
  const names = new Set(cases.map(({ name }) => name));
  const known = options.resume ? earlier.runs.filter((run) => names.has(run.case)) : [];
  const started = performance.now();
  const fresh: Run[] = [];
  const results = (): Results => {
    const part = { machine, options, cases: [...names], seconds: (performance.now() - started) / 1000 };
    const titles = Object.fromEntries(cases.map(({ name, title }) => [name, title]));
    const isAgain = (run: Run): boolean =>
      fresh.some((one) => one.case === run.case && one.round === run.round && one.server === run.server);
    return { parts: [part], titles, runs: [...known.filter((run) => !isAgain(run)), ...fresh] };
  };
  const document = (): Results => {
    const all = merged(earlier, results());
    // Rounds of an earlier start stay in its results.
    return known.length > 0 ? { ...all, parts: [...earlier.parts, ...results().parts] } : all;
  };
  await runRounds({
    ...{ options, cases, known, progress: showProgress },
    files: await makeFiles(dir),
    ended(run) {
      fresh.push(run);
      if (!options.short) writeResults(file, document());
    },
  });
  showProgress('');
  show(options, cases, results(), formatMachine(machine));
  if (!options.short) {
    console.error(`kept in ${file}`);
    if (dirname(resolve(file)) === RESULTS_FOLDER) await renderPage([file]);
  }
  return reportFailures(fresh);
}

function show(
  options: BenchOptions,
  cases: ReturnType<typeof casesOf>,
  { parts, runs }: Results,
  machine: string,
): void {
  const seconds = parts[0]!.seconds.toFixed(0);
  const table = `${machine}\n\n${formatReport(cases, runs)}\n\n${options.rounds} rounds in ${seconds} s. Median [lowest–highest]; ratios are inside a round.`;
  if (options.json) {
    console.error(table);
    console.log(JSON.stringify({ parts, runs }, null, 1));
  } else {
    console.log(table);
  }
}

function reportFailures(runs: readonly Run[]): number {
  const failed = runs.filter((run) => run.error !== null);
  for (const { round, case: name, server, error } of failed) {
    console.error(`FAILED: ${name}, ${server}, round ${round + 1}: ${error ?? ''}`);
  }
  return failed.length > 0 ? 1 : 0;
}

/** Shows the progress: one line that is replaced on a terminal, and new lines elsewhere, so that a log shows where a run hangs. */
function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
  else if (text !== '') process.stderr.write(`${text.trimEnd()}\n`);
}
