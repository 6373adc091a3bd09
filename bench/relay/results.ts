import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { machineSlug, type Machine } from './machine.ts';
import type { BenchOptions } from './options.ts';
import type { Run } from './rounds.ts';

/** Where results are kept, in git. */
export const RESULTS_FOLDER: string = join(import.meta.dirname, '..', 'results');

const FORMAT = 'towpath-bench-relay-1';

/** One start of the benchmark. */
interface Part {
  readonly machine: Machine;
  readonly options: BenchOptions;
  /** Names of its cases. */
  readonly cases: readonly string[];
  readonly seconds: number;
}

/** The results of one day and machine, or of several starts. */
export interface Results {
  readonly parts: readonly Part[];
  readonly titles: Readonly<Record<string, string>>;
  readonly runs: readonly Run[];
}

export const NO_RESULTS: Results = { parts: [], titles: {}, runs: [] };

/** Returns the path of the file of this day and machine. */
export function todaysFile(machine: Machine): string {
  return join(RESULTS_FOLDER, `${machine.date.slice(0, 10)}-${machineSlug(machine)}.json`);
}

/** Files of relay results in {@link RESULTS_FOLDER}, oldest first. */
export function keptFiles(): string[] {
  return readdirSync(RESULTS_FOLDER)
    .filter((name) => /^\d{4}-\d{2}-\d{2}-.*\.json$/.test(name))
    .sort()
    .map((name) => join(RESULTS_FOLDER, name))
    .filter((file) => tryRead(file) !== null);
}

/** Reads a file of results. Returns null when it does not exist or has another content. */
export function tryRead(file: string): Results | null {
  try {
    const { format, ...results } = JSON.parse(readFileSync(file, 'utf8')) as Results & { format?: string };
    return format === FORMAT ? results : null;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new Error(`${file} cannot be read as JSON: ${String(error)}`, { cause: error });
  }
}

/** Returns all cases of `later`, and those of `earlier` that `later` does not have. A case never has rounds of two starts. */
export function merged(earlier: Results, later: Results): Results {
  const again = new Set(later.runs.map((run) => run.case));
  const runs = [...earlier.runs.filter((run) => !again.has(run.case)), ...later.runs];
  const parts = [...earlier.parts.filter(({ cases }) => cases.some((name) => !again.has(name))), ...later.parts];
  return { parts, titles: { ...earlier.titles, ...later.titles }, runs };
}

/** Writes results, a line for each run; a crash leaves the file as it was. */
export function writeResults(file: string, { parts, titles, runs }: Results): void {
  mkdirSync(dirname(file), { recursive: true });
  const lines = (values: readonly unknown[]): string =>
    values.map((one) => `\n  ${JSON.stringify(one, rounded)}`).join(',');
  const text = [
    `{\n "format": ${JSON.stringify(FORMAT)},\n "parts": [${lines(parts)}\n ],`,
    ` "titles": ${JSON.stringify(titles, null, 2).replaceAll('\n', '\n ')},`,
    ` "runs": [${lines(runs)}\n ]\n}\n`,
  ];
  writeFileSync(`${file}.new`, text.join('\n'));
  renameSync(`${file}.new`, file);
}

/** Rounds a number to five digits: no measurement here is more exact. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
}
