import { writeFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import type { ProbeTarget } from '../tools/probe/target.ts';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { runLoad } from '../tools/load/coordinator.ts';
import { refuseTooMany } from '../tools/load/descriptors.ts';
import { judge, parseCondition } from '../tools/load/fail-if.ts';
import { htmlReport } from '../tools/load/html-report.ts';
import { jsonReport } from '../tools/load/json-report.ts';
import { refuseForeign } from '../tools/load/ownership.ts';
import { PATTERNS, type LoadPlan, type LoadTarget, type Pattern, type Scenario } from '../tools/load/plan.ts';
import { ProgressLine } from '../tools/load/progress.ts';
import type { LoadResult } from '../tools/load/result.ts';
import { ServerProcess } from '../tools/load/server-process.ts';
import { summaryText } from '../tools/load/summary.ts';
import { ExitCode } from './failure.ts';
import { helpNote } from './help-text.ts';
import {
  addLoadFlags,
  addSizeFlag,
  packetsPerSecond,
  pairCount,
  pairGroup,
  planOf,
  rateOption,
  type LoadFlags,
  type Rate,
} from './load-flags.ts';
import { readTargets } from './probe-targets.ts';
import { targetOverrides, whole } from './target-flags.ts';

const MAX_WINDOW_PACKETS = 100_000;
/** About the number of local ports to one address. */
const MAX_CONNECTIONS = 60_000;
/** Packets for receivers that do not read: large, so that they are soon full. */
const FEED_BYTES = 8192;
const FEED_BITS_PER_SECOND = 8e6;
const MAX_FEED_BITS_PER_SECOND = 1e9;
/** Most relay names in a message. */
const MAX_NAMED = 20;

type Own = Parameters<typeof planOf>[3];

/** Adds `towpath load` and its scenarios to the program. */
export function registerLoad(program: Command): void {
  const load = program
    .command('load')
    .description('Test a relay under load: throughput, latency, loss and fairness.')
    .addHelpText('after', helpNote(EXIT_CODES));
  registerThroughput(load);
  registerLatency(load);
  registerFairness(load);
  registerSlow(load);
  registerConnections(load);
}

const EXIT_CODES =
  'Exit codes: 0 done, 1 could not run, 2 wrong usage, or the relay is not on this machine, ' +
  '3 a condition of --fail-if is true, 130 interrupted.';

function registerThroughput(load: Command): void {
  const command = scenario(
    load,
    'throughput',
    'Measure throughput: pairs of clients send as fast as the relay delivers, or at a fixed rate.',
  )
    .option('--pairs <n>', 'number of pairs, each with one sender and one receiver', pairCount, 10)
    .addOption(
      new Option(
        '--window <packets>',
        'packets in flight per pair; the sender waits when this many have not arrived yet',
      )
        .argParser(whole(1, MAX_WINDOW_PACKETS))
        .default(32),
    )
    .addOption(
      new Option('--rate <rate>', 'fixed rate of each pair instead of a window, such as 500, 2k or 1Mbit/s').argParser(
        rateOption,
      ),
    );
  addSizeFlag(command).action(
    async (relay: string, flags: LoadFlags & { pairs: number; size: number; window: number; rate?: Rate }) => {
      const { pairs, size, window, rate } = flags;
      await run(command, 'throughput', relay, flags, {
        groups: [
          pairGroup(
            'pairs',
            pairs,
            size,
            rate === undefined
              ? { kind: 'window', packets: window }
              : { kind: 'rate', packetsPerSecond: packetsPerSecond(rate, size) },
          ),
        ],
      });
    },
  );
}

function registerLatency(load: Command): void {
  const command = scenario(load, 'latency', 'Measure latency: pairs of clients send at a low fixed rate.')
    .option('--pairs <n>', 'number of pairs, each with one sender and one receiver', pairCount, 10)
    .addOption(rateFlag('--rate', 'rate of each pair', { unit: 'packets', perSecond: 100 }, '100 packets/s'));
  addSizeFlag(command).action(async (relay: string, flags: LoadFlags & { pairs: number; size: number; rate: Rate }) => {
    const { pairs, size, rate } = flags;
    await run(command, 'latency', relay, flags, {
      groups: [pairGroup('pairs', pairs, size, { kind: 'rate', packetsPerSecond: packetsPerSecond(rate, size) })],
    });
  });
}

function registerFairness(load: Command): void {
  const command = scenario(
    load,
    'fairness',
    'Measure fairness: some pairs send at a fixed rate, others send as fast as they can.',
  )
    .option('--polite <n>', 'number of pairs that send at a fixed rate', pairCount, 50)
    .addOption(rateFlag('--polite-rate', 'rate of each polite pair', { unit: 'bits', perSecond: 1e6 }, '1Mbit/s'))
    .option('--greedy <n>', 'number of pairs that send as fast as they can', pairCount, 5);
  addSizeFlag(command).action(
    async (relay: string, flags: LoadFlags & { polite: number; politeRate: Rate; greedy: number; size: number }) => {
      const { polite, politeRate, greedy, size } = flags;
      await run(command, 'fairness', relay, flags, {
        groups: [
          pairGroup('polite', polite, size, {
            kind: 'rate',
            packetsPerSecond: packetsPerSecond(politeRate, size),
          }),
          pairGroup('greedy', greedy, size, { kind: 'flood' }),
        ],
      });
    },
  );
}

function registerSlow(load: Command): void {
  const command = scenario(load, 'slow', 'Measure healthy pairs while other receivers have stopped reading.')
    .option('--stalled <n>', 'number of receivers that never read', whole(1, MAX_CONNECTIONS), 100)
    .option(
      '--feed <rate>',
      'rate of the packets to all stalled receivers together (default: 8 Mbit/s for each, at most 1 Gbit/s)',
      rateOption,
    )
    .option('--pairs <n>', 'number of healthy pairs, each with one sender and one receiver', pairCount, 10)
    .addOption(rateFlag('--rate', 'rate of each healthy pair', { unit: 'packets', perSecond: 100 }, '100 packets/s'));
  addSizeFlag(command).action(
    async (
      relay: string,
      flags: LoadFlags & { stalled: number; feed?: Rate; pairs: number; rate: Rate; size: number },
    ) => {
      const { stalled, pairs, rate, size } = flags;
      const feed = flags.feed ?? {
        unit: 'bits',
        perSecond: Math.min(stalled * FEED_BITS_PER_SECOND, MAX_FEED_BITS_PER_SECOND),
      };
      const perSecond = packetsPerSecond(rate, size);
      await run(command, 'slow', relay, flags, {
        groups: [pairGroup('healthy', pairs, size, { kind: 'rate', packetsPerSecond: perSecond })],
        stalled: {
          receivers: stalled,
          packetBytes: FEED_BYTES,
          packetsPerSecond: packetsPerSecond(feed, FEED_BYTES),
        },
      });
    },
  );
}

function registerConnections(load: Command): void {
  const command = scenario(load, 'connections', 'Open many connections that send only a Ping from time to time.')
    .addOption(
      new Option(
        '--pattern <name>',
        'idle: open them and keep them open; ramp: open more at a steady rate; churn: keep replacing the oldest',
      )
        .choices(PATTERNS)
        .default('idle'),
    )
    .option('--connections <n>', `number of connections (at most ${MAX_CONNECTIONS})`, whole(1, MAX_CONNECTIONS), 1000)
    .option(
      '--per-second <n>',
      'connections to open or replace per second (default: as fast as possible; ramp: all within the duration)',
      whole(1, MAX_CONNECTIONS),
    );
  command.action(
    async (relay: string, flags: LoadFlags & { pattern: Pattern; connections: number; perSecond?: number }) => {
      const { pattern, connections, duration, warmUp } = flags;
      const byDefault = pattern === 'ramp' ? connections / (duration + warmUp) : 0;
      await run(command, 'connections', relay, flags, {
        connections: { pattern, connections, perSecond: flags.perSecond ?? byDefault },
      });
    },
  );
}

/** A flag for a rate, with its default and how the help shows it. */
function rateFlag(flag: string, help: string, initial: Rate, shown: string): Option {
  return new Option(`${flag} <rate>`, `${help}, such as 500, 2k or 1Mbit/s`)
    .argParser(rateOption)
    .default(initial, shown);
}

function scenario(load: Command, name: Scenario, description: string): Command {
  return addLoadFlags(load.command(name).description(description).addHelpText('after', helpNote(EXIT_CODES)));
}

/** Runs the load test of the command line, and sets the exit code. */
async function run(command: Command, name: Scenario, relay: string, flags: LoadFlags, own: Own): Promise<void> {
  // Parsed first, so that a mistake is found before the run.
  const conditions = (flags.failIf ?? []).map((text) => parseCondition(text, name));
  const plan = planOf(name, await readTarget(relay, flags), flags, own);
  if (flags.iOwnThisServer !== true) await refuseForeign(plan.target);
  refuseTooMany(plan);
  const server = flags.serverPid === undefined ? null : new ServerProcess(flags.serverPid);
  const result = await watched(plan, server, flags.json === true);
  if (result === null) {
    process.exitCode = ExitCode.Interrupted;
    return;
  }
  const verdicts = conditions.map((condition) => judge(condition, result));
  if (flags.report !== undefined) await write(flags.report, htmlReport(result, verdicts));
  command
    .configureOutput()
    .writeOut?.(flags.json === true ? jsonReport(result, verdicts) : summaryText(result, verdicts));
  if (result.interrupted) process.exitCode = ExitCode.Interrupted;
  else if (verdicts.some(({ failed }) => failed)) process.exitCode = ExitCode.ConditionFailed;
}

async function write(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (error) {
    throw new TowpathError('TOWPATH_LOAD_REPORT', `--report: ${path} cannot be written: ${errorMessage(error)}`, {
      hint: 'Name a file in a directory that exists and that this user may write to.',
    });
  }
}

/** Runs a plan with progress on a terminal; returns null when it was interrupted before there was a result. */
async function watched(plan: LoadPlan, server: ServerProcess | null, quiet: boolean): Promise<LoadResult | null> {
  const isShown = !quiet && process.stderr.isTTY;
  const line = new ProgressLine(plan, isShown ? process.stderr : null);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    return await runLoad(plan, server, line, stop.signal);
  } catch (error) {
    if (error instanceof TowpathError && error.code === 'TOWPATH_LOAD_INTERRUPTED') return null;
    throw error;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    line.clear();
  }
}

async function readTarget(relay: string, flags: LoadFlags): Promise<LoadTarget> {
  const region = flags.region ?? null;
  const all = await readTargets(relay, region, await targetOverrides(flags), flags.timeout * 1000);
  const relays = all.filter(({ name, relay: served }) => served !== null && (flags.node ?? name) === name);
  const [first, ...others] = relays;
  if (first === undefined)
    throw usage(`${relay} has no relay with this --node`, 'Check the names of the nodes in the DERP map.');
  if (others.length > 0) {
    const names = relays.slice(0, MAX_NAMED).map(({ name }) => name);
    const more = relays.length > MAX_NAMED ? ` and ${relays.length - MAX_NAMED} more` : '';
    throw usage(
      `the DERP map ${relay} has several relays: ${names.join(', ')}${more}`,
      'Select one with --region or --node.',
    );
  }
  return toTarget(first, flags.websocket === true);
}

function toTarget(target: ProbeTarget, websocket: boolean): LoadTarget {
  const { name, serverName, verify, idealNode } = target;
  const ip = [target.ipv4, target.ipv6].find((family) => family.kind === 'ip');
  return { name, url: target.relay!.url, serverName, verify, idealNode, ip: ip?.ip ?? null, websocket };
}

function usage(message: string, hint: string): TowpathError {
  return new TowpathError('TOWPATH_USAGE', message, { hint });
}
