import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { casesOf } from './cases.ts';
import { barsTable, caseList, casesTable, countersTable, machineText, table } from './markdown.ts';
import type { Machine } from './machine.ts';
import { readOptions } from './options.ts';
import { udpPageText, type UdpResults } from '../udp/report.ts';
import { keptFiles, merged, NO_RESULTS, RESULTS_FOLDER, tryRead, type Results } from './results.ts';

/** The page whose tables are made from the results. */
export const PAGE: string = join(import.meta.dirname, '..', '..', 'docs', 'performance.md');

/** What `npm run bench:micro -- --keep` writes. */
export interface MicroResults {
  readonly title: string;
  readonly rows: readonly (readonly [name: string, nanoseconds: string])[];
}

/** What `npm run bench:fairness` keeps. */
export interface FairnessResults {
  readonly machine: Machine;
  readonly title: string;
  readonly rows: readonly {
    /** Empty when it is the same as in the row before. */
    readonly case: string;
    readonly wanted: string;
    readonly measured: string;
    /** Null without a bar. */
    readonly met: boolean | null;
  }[];
}

/** The shown part of `flame-NAME.json`. */
interface FlameResults {
  readonly title: string;
  readonly cpuUs: number | null;
  readonly shares: Readonly<Record<string, number>>;
  readonly perf: Readonly<Record<string, number>> | null;
}

/** Writes the result of {@link renderedPage} to {@link PAGE}. */
export async function renderPage(files: readonly string[]): Promise<void> {
  writeFileSync(PAGE, await renderedPage(files));
}

/**
 * Returns the page with new tables between its markers. Takes the result files to show; later ones replace the
 * cases of earlier ones. Without files, it takes the newest one. Throws an Error when a file or a marker is missing.
 */
export async function renderedPage(files: readonly string[]): Promise<string> {
  const shown = files.length > 0 ? files : keptFiles().slice(-1);
  const results = shown.map(readResults).reduce(merged, NO_RESULTS);
  let text = readFileSync(PAGE, 'utf8');
  for (const [name, section] of Object.entries(sections(results))) text = replaced(text, name, section);
  return format(text, { ...(await resolveConfig(PAGE)), filepath: PAGE });
}

function readResults(file: string): Results {
  const results = tryRead(file);
  if (results === null) throw new Error(`${file}: no results of bench:relay`);
  return results;
}

function sections({ titles, ...rest }: Results): Record<string, string> {
  const options = readOptions(['--full'], {});
  const cases = options === null ? [] : casesOf(options);
  return {
    machine: machineText({ titles, ...rest }),
    bars: barsTable(rest.runs),
    list: caseList(cases, titles),
    cases: casesTable(cases, rest.runs),
    counters: countersTable(cases, rest.runs),
    fairness: fairnessText(),
    udp: udpText(),
    flame: flameText(),
    micro: microText(),
  };
}

function replaced(text: string, name: string, section: string): string {
  const [begin, end] = [`<!-- bench: ${name} -->`, `<!-- end: ${name} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${PAGE} lacks the lines ${begin} and ${end}`);
  return `${text.slice(0, from + begin.length)}\n\n${section}\n\n${text.slice(to)}`;
}

function fairnessText(): string {
  const kept = newest('fairness') as FairnessResults | null;
  if (kept === null) return 'Not measured yet.';
  const rows = kept.rows.map((row) => [
    row.case,
    row.wanted,
    row.measured,
    row.met === null ? '' : row.met ? 'met' : '**missed**',
  ]);
  return `${kept.title}\n\n${table([['case', 'wanted', 'measured', ''], ...rows])}`;
}

/** Returns the table of CPU shares before and after, from the results of `npm run bench:flame`. */
function flameText(): string {
  const kept = ['before', 'after'].flatMap((name) => {
    const file = join(RESULTS_FOLDER, `flame-${name}.json`);
    return existsSync(file) ? [{ name, ...(JSON.parse(readFileSync(file, 'utf8')) as FlameResults) }] : [];
  });
  if (kept.length === 0) return 'Not measured yet.';
  const percent = (share: number | undefined): string => (share === undefined ? '' : `${(share * 100).toFixed(1)} %`);
  const owners = [...new Set(kept.flatMap(({ shares }) => Object.keys(shares)))];
  const kinds = [...new Set(kept.flatMap(({ perf }) => Object.keys(perf ?? {})))];
  return [
    kept.map(({ title }) => `- ${title}`).join('\n'),
    table([
      ['', ...kept.map(({ name }) => name)],
      ['CPU µs/packet, profiler included', ...kept.map(({ cpuUs }) => cpuUs?.toFixed(2) ?? '')],
      ...owners.map((owner) => [owner, ...kept.map(({ shares }) => percent(shares[owner]))]),
      ...kinds.map((kind) => [`perf: ${kind}`, ...kept.map(({ perf }) => percent(perf?.[kind]))]),
    ]),
  ].join('\n\n');
}

function microText(): string {
  const kept = newest('micro') as MicroResults | null;
  if (kept === null) return 'Not measured yet.';
  return `${kept.title}\n\n${table([['operation', 'ns'], ...kept.rows])}`;
}

function udpText(): string {
  const kept = newest('udp') as UdpResults | null;
  return kept === null ? 'Not measured yet.' : udpPageText(kept);
}

function newest(kind: string): unknown {
  const name = readdirSync(RESULTS_FOLDER)
    .filter((file) => /^\d{4}-\d{2}-\d{2}-/.test(file) && file.includes(kind) && file.endsWith('.json'))
    .sort()
    .at(-1);
  return name === undefined ? null : JSON.parse(readFileSync(join(RESULTS_FOLDER, name), 'utf8'));
}
