import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { InvalidArgumentError, type Command } from 'commander';
import { PAYLOAD_HEADER_BYTES } from '../tools/load/payload.ts';
import type { LoadPlan, LoadTarget, PairGroup, Scenario, Sending } from '../tools/load/plan.ts';
import { MAX_PACKET_BYTES } from '../wire/frames.ts';
import { addTargetFlags, whole, type TargetFlags } from './target-flags.ts';

const MAX_DURATION_S = 3600;
const MAX_WARM_UP_S = 60;
const MAX_TIMEOUT_S = 60;
const MAX_WORKERS = 64;
const DEFAULT_WORKERS = 4;
/** With more pairs, the shared event loops would be the limit. */
const MAX_PAIRS = 10_000;
/** More packets in one write could exceed a queue of 1 MiB. */
const MAX_COALESCE = 256;
const SAMPLE_MS = 500;
/** More points are not visible in a plot. */
const MAX_POINTS = 600;
const DRAIN_MS = 3000;
const HANDSHAKES_AT_ONCE = 64;

/** A rate as it was typed. */
export type Rate =
  { readonly unit: 'packets'; readonly perSecond: number } | { readonly unit: 'bits'; readonly perSecond: number };

/** Flags of every scenario. */
export interface LoadFlags extends TargetFlags {
  readonly node?: string;
  readonly websocket?: true;
  readonly duration: number;
  readonly warmUp: number;
  readonly workers?: number;
  readonly coalesce: number;
  readonly timeout: number;
  readonly serverPid?: number;
  readonly json?: true;
  readonly report?: string;
  readonly failIf?: readonly string[];
  readonly iOwnThisServer?: true;
}

/** Adds the argument and the flags that every scenario has. */
export function addLoadFlags(command: Command): Command {
  command.argument(
    '<relay>',
    'URL of the relay (https://HOST[:PORT]/derp, or http:// without TLS), or the file or URL of a DERP map',
  );
  return addTargetFlags(command)
    .option('--node <name>', 'use only this node of the DERP map, by its name')
    .option('--websocket', 'connect with WebSocket')
    .option(
      '--duration <seconds>',
      `measurement time in seconds (at most ${MAX_DURATION_S})`,
      whole(1, MAX_DURATION_S),
      10,
    )
    .option(
      '--warm-up <seconds>',
      `time in seconds before the measurement; it does not count (at most ${MAX_WARM_UP_S})`,
      whole(0, MAX_WARM_UP_S),
      1,
    )
    .option(
      '--workers <n>',
      `number of threads (at most ${MAX_WORKERS}; default: one less than CPUs, at most ${DEFAULT_WORKERS})`,
      whole(1, MAX_WORKERS),
    )
    .option(
      '--coalesce <n>',
      `packets per write, which is one TLS record (at most ${MAX_COALESCE})`,
      whole(1, MAX_COALESCE),
      1,
    )
    .option(
      '--timeout <seconds>',
      `time limit in seconds to open a connection (at most ${MAX_TIMEOUT_S})`,
      whole(1, MAX_TIMEOUT_S),
      10,
    )
    .option(
      '--server-pid <pid>',
      'process id of the relay, if it runs on this machine: measures its CPU and memory',
      whole(1, 2 ** 22),
    )
    .option('--json', 'print the result as JSON only')
    .option('--report <file>', 'write an HTML report with plots to this file')
    .option('--fail-if <condition...>', 'end with exit code 3 if this is true, for example "loss>0.1%" or "p99>5ms"')
    .option('--i-own-this-server', 'allow a test of a relay that is not on this machine');
}

/** Adds `--size`. */
export function addSizeFlag(command: Command): Command {
  return command.option(
    '--size <bytes>',
    `size of each packet in bytes (${PAYLOAD_HEADER_BYTES} to ${MAX_PACKET_BYTES})`,
    whole(PAYLOAD_HEADER_BYTES, MAX_PACKET_BYTES),
    1200,
  );
}

/** Parses a number of pairs. */
export const pairCount: (text: string) => number = whole(1, MAX_PAIRS);

/**
 * Reads `2000`, `2k` or `2k/s` packets per second, or `1Mbit/s`. Throws commander's InvalidArgumentError for anything
 * else.
 */
export function rateOption(text: string): Rate {
  const match = /^(\d+(?:\.\d+)?)(k|k\/s|\/s|kbit\/s|Mbit\/s|Gbit\/s|)$/.exec(text);
  const factors: Record<string, number> = { k: 1e3, 'k/s': 1e3, 'kbit/s': 1e3, 'Mbit/s': 1e6, 'Gbit/s': 1e9 };
  const unit = match?.[2] ?? '';
  const perSecond = match === null ? 0 : Number(match[1]) * (factors[unit] ?? 1);
  if (perSecond > 0) return { unit: unit.endsWith('bit/s') ? 'bits' : 'packets', perSecond };
  throw new InvalidArgumentError(
    'It must be a number of packets per second, such as 500 or 2k, or a bit rate, such as 1Mbit/s.',
  );
}

/** Converts a rate to packets of `packetBytes` bytes per second. */
export function packetsPerSecond({ unit, perSecond }: Rate, packetBytes: number): number {
  return unit === 'packets' ? perSecond : perSecond / 8 / packetBytes;
}

/** Returns a group of equal pairs. */
export function pairGroup(
  className: PairGroup['className'],
  pairs: number,
  packetBytes: number,
  sending: Sending,
): PairGroup {
  return { className, pairs, packetBytes, sending };
}

/** Returns the default number of threads. Polite and greedy pairs need separate threads. */
function defaultWorkers(scenario: Scenario): number {
  const least = scenario === 'fairness' ? 2 : 1;
  return Math.max(least, Math.min(availableParallelism() - 1, DEFAULT_WORKERS));
}

/** Returns the plan from the common flags and the scenario's own settings. */
export function planOf(
  scenario: Scenario,
  target: LoadTarget,
  flags: LoadFlags,
  own: Partial<Pick<LoadPlan, 'groups' | 'stalled' | 'connections'>>,
): LoadPlan {
  const wantedMs = (flags.duration + flags.warmUp) * 1000;
  const sampleMs = SAMPLE_MS * Math.ceil(wantedMs / SAMPLE_MS / MAX_POINTS);
  const roundUp = (seconds: number): number => Math.ceil((seconds * 1000) / sampleMs) * sampleMs;
  return {
    scenario,
    target,
    run: randomInt(2 ** 32),
    ...{ groups: [], stalled: null, connections: null, ...own },
    workers: flags.workers ?? defaultWorkers(scenario),
    coalesce: flags.coalesce,
    durationMs: roundUp(flags.duration),
    warmUpMs: roundUp(flags.warmUp),
    sampleMs,
    drainMs: DRAIN_MS,
    handshakesAtOnce: HANDSHAKES_AT_ONCE,
    connectTimeoutMs: flags.timeout * 1000,
  };
}
