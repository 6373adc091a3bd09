import { writeFileSync } from 'node:fs';
import type { Check } from './soak-account.ts';
import type { Ledger } from './soak-ledger.ts';
import type { SoakOptions } from './soak-options.ts';
import type { Sample } from './soak-sampler.ts';
import { type Growth, type GrowthBound, judgeGrowth, median } from './soak-slope.ts';

const MIB = 1024 * 1024;
/** Interval of the lines in piped output, in milliseconds. On a terminal, one line is updated with every sample. */
const LINE_EVERY_MS = 60_000;
/**
 * Memory first grows with the load: compiled code, pools, a heap that its collector lets grow. Before this is
 * over, a slope has no meaning, so a run that is shorter than twice this time is not checked for it.
 */
const MEMORY_WARM_UP_SECONDS = 600;
/**
 * With the default load an hour has 30,000 connections: 16 MiB in 90 minutes are 370 bytes for each of them, less than
 * any object of a connection (50 KiB with TLS, about 1 KiB for a remembered key). The memory of a runtime also varies by
 * this much without a leak. A tenth of the whole is for larger loads.
 */
const MEMORY_BOUND: GrowthBound = { absolute: 16 * MIB, fraction: 0.1, warmUpSeconds: MEMORY_WARM_UP_SECONDS };
/** The number of open descriptors varies with the visits, but its trend does not. One lost in two minutes is visible in an hour. */
const DESCRIPTOR_BOUND: GrowthBound = { absolute: 8, fraction: 0, warmUpSeconds: 0 };

/** The growth in the samples. */
export interface Trends {
  readonly memory: Growth;
  readonly descriptors: Growth;
  /** False when the run was too short for a slope of the memory. */
  readonly isMemoryJudged: boolean;
}

/** Slopes of memory and descriptors over the run. */
export function trendsOf(samples: readonly Sample[], runSeconds: number): Trends {
  const isMemoryJudged = runSeconds >= 2 * MEMORY_WARM_UP_SECONDS;
  const memoryBound = isMemoryJudged ? MEMORY_BOUND : { ...MEMORY_BOUND, warmUpSeconds: 0 };
  return {
    memory: judgeGrowth(
      samples.map(({ atSeconds, rssBytes }) => [atSeconds, rssBytes]),
      runSeconds,
      memoryBound,
    ),
    descriptors: judgeGrowth(
      samples.map(({ atSeconds, descriptors }) => [atSeconds, descriptors]),
      runSeconds,
      DESCRIPTOR_BOUND,
    ),
    isMemoryJudged,
  };
}

/** Returns the trends as conditions. */
export function trendChecks({ memory, descriptors, isMemoryJudged }: Trends): Check[] {
  const memoryDetail =
    `${mebibytes(memory.overRun)} over the run (${mebibytes(memory.perHour)}/h), ` +
    `${mebibytes(memory.allowed)} allowed, median ${mebibytes(memory.median)}`;
  return [
    {
      what: 'RSS has no slope',
      holds: memory.isBounded || !isMemoryJudged,
      detail: isMemoryJudged ? memoryDetail : `not judged in a run of less than 20 minutes; ${memoryDetail}`,
    },
    {
      what: 'descriptors have no slope',
      holds: descriptors.isBounded,
      detail: `${descriptors.overRun.toFixed(1)} over the run, ${descriptors.allowed} allowed, median ${descriptors.median}`,
    },
  ];
}

/** Shows the progress: a new line each minute, or one updated line on a terminal. */
export class Progress {
  readonly #isTerminal = process.stdout.isTTY;
  #lineAtMs = -Infinity;
  #last: Sample | null = null;

  show(sample: Sample, ledger: Ledger, options: SoakOptions): void {
    const now = performance.now();
    if (!this.#isTerminal && now - this.#lineAtMs < LINE_EVERY_MS - 1000) return;
    this.#lineAtMs = now;
    const line = this.#line(sample, ledger, options);
    this.#last = sample;
    if (this.#isTerminal) process.stdout.write(`\r\x1b[K${line.slice(0, process.stdout.columns - 1)}`);
    else console.log(line);
  }

  /** The report starts on a line of its own. */
  end(): void {
    if (this.#isTerminal) process.stdout.write('\n');
  }

  #line(sample: Sample, ledger: Ledger, { runtime, durationMs }: SoakOptions): string {
    const last = this.#last;
    const seconds = sample.atSeconds - (last?.atSeconds ?? 0);
    const packets = (sample.packetsReceived - (last?.packetsReceived ?? 0)) / seconds;
    const cpu = last === null ? NaN : (sample.cpuSeconds - last.cpuSeconds) / seconds;
    const delay = sample.loopDelayP99Seconds;
    return [
      `${runtime} ${(sample.atSeconds / 60).toFixed(1)} of ${(durationMs / 60_000).toFixed(0)} min`,
      `RSS ${mebibytes(sample.rssBytes)}`,
      `fds ${sample.descriptors}`,
      `connections ${sample.connections}`,
      `${packets.toFixed(0)} packets/s`,
      `dropped ${sample.packetsDropped}`,
      `refusals ${sample.refusals}`,
      `CPU ${(cpu * 100).toFixed(0)} %`,
      delay === null ? `/metrics in ${milliseconds(sample.scrapeSeconds)}` : `loop delay p99 ${milliseconds(delay)}`,
      `problems ${ledger.problemCount}`,
    ].join(', ');
  }
}

/** All results, for {@link printReport} and the file. */
export interface Findings {
  readonly options: SoakOptions;
  readonly runSeconds: number;
  readonly interrupted: boolean;
  readonly samples: readonly Sample[];
  readonly checks: readonly Check[];
  readonly ledger: Ledger;
  /** Counters of the last scrape, by name with labels. */
  readonly counters: Readonly<Record<string, number>>;
  readonly relayOutput: string;
}

/** Prints the whole report; returns true when all conditions are met. */
export function printReport(findings: Findings): boolean {
  const { options, runSeconds, samples, checks, ledger, relayOutput } = findings;
  const [first, last] = [samples[0], samples.at(-1)];
  const passed = ledger.problemCount === 0 && checks.every(({ holds }) => holds);
  console.log(
    `\nsoak on ${options.runtime}, ${(runSeconds / 60).toFixed(1)} minutes${findings.interrupted ? ', interrupted' : ''}, ${samples.length} samples`,
  );
  if (first !== undefined && last !== undefined) {
    const cores = (last.cpuSeconds - first.cpuSeconds) / (last.atSeconds - first.atSeconds);
    const delays = samples.flatMap(({ loopDelayP99Seconds }) => loopDelayP99Seconds ?? []);
    const trips = samples.map(({ scrapeSeconds }) => scrapeSeconds);
    console.log(
      `  RSS        ${mebibytes(first.rssBytes)} → ${mebibytes(last.rssBytes)}, at most ${mebibytes(Math.max(...samples.map(({ rssBytes }) => rssBytes)))}`,
    );
    console.log(
      `  CPU        ${cores.toFixed(3)} cores on average; the generator ended with ${mebibytes(last.generatorRssBytes)}`,
    );
    console.log(
      delays.length === 0
        ? '  loop delay not measured by this runtime; see /metrics'
        : `  loop delay p99 of a sample (Node counts the 10 ms between two looks in): median ${milliseconds(median(delays))}, worst ${milliseconds(Math.max(...delays))}`,
    );
    console.log(
      `  /metrics   round trip: median ${milliseconds(median(trips))}, worst ${milliseconds(Math.max(...trips))}`,
    );
    console.log(
      `  traffic    ${last.packetsReceived} packets, ${last.accepts} DERP connections, ${last.refusals} refusals, ${last.stunAnswers} STUN answers`,
    );
  }
  for (const { what, holds, detail } of checks) console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}: ${detail}`);
  if (ledger.skipped > 0) console.log(`note: ${ledger.skipped} actions left out, as too many were under way`);
  for (const text of ledger.problems) console.log(`FAIL ${text}`);
  if (ledger.problemCount > ledger.problems.length) {
    console.log(`FAIL and ${ledger.problemCount - ledger.problems.length} more of these kinds`);
  }
  if (relayOutput !== '') console.log(`the relay wrote:\n${relayOutput.slice(-4000)}`);
  console.log(passed ? 'soak: passed' : 'soak: FAILED');
  return passed;
}

/** Writes options, samples, counters and verdict as JSON. */
export function writeFindings(file: string, findings: Findings, passed: boolean): void {
  const { ledger, ...rest } = findings;
  const { problems, problemCount, caused } = ledger;
  writeFileSync(
    file,
    JSON.stringify({ passed, ...rest, problems, problemCount, caused: Object.fromEntries(caused) }, null, 1),
  );
}

function mebibytes(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

function milliseconds(seconds: number): string {
  return `${(seconds * 1000).toFixed(1)} ms`;
}
