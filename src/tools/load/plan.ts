import type { ServerVerification } from '../../transport/port.ts';

/** The kinds of load test. Each is a subcommand of `towpath load`. */
export type Scenario = 'throughput' | 'latency' | 'connections' | 'fairness' | 'slow';

/** Pairs that are counted together. */
export const CLASSES = ['pairs', 'polite', 'greedy', 'healthy'] as const;
export type ClassName = (typeof CLASSES)[number];

/** Where the relay is and how it is reached. */
export interface LoadTarget {
  /** The name in reports. */
  readonly name: string;
  readonly url: string;
  readonly serverName: string;
  readonly verify: ServerVerification;
  /** Empty when the relay is the first of its region. */
  readonly idealNode: string;
  /** An IP to connect to instead of the URL's host; null looks the host up. */
  readonly ip: string | null;
  readonly websocket: boolean;
}

/** How a pair's sender sends. */
export type Sending =
  /** At a steady rate, whether the packets arrive or not. */
  | { readonly kind: 'rate'; readonly packetsPerSecond: number }
  /** Sends the next packet when one arrives, with this many in flight. */
  | { readonly kind: 'window'; readonly packets: number }
  /** As fast as the connection takes it. */
  | { readonly kind: 'flood' };

/** Pairs of a sender and a receiver that all do the same. */
export interface PairGroup {
  readonly className: ClassName;
  readonly pairs: number;
  readonly packetBytes: number;
  readonly sending: Sending;
}

/** Receivers that log in and then never read. */
interface StalledGroup {
  readonly receivers: number;
  readonly packetBytes: number;
  /** Packets per second to all of them together. */
  readonly packetsPerSecond: number;
}

/**
 * How connections are opened and closed. `idle` holds them, `ramp` opens more all the time, `churn` replaces the
 * oldest.
 */
export const PATTERNS = ['idle', 'ramp', 'churn'] as const;
export type Pattern = (typeof PATTERNS)[number];

/** Connections that carry nothing. */
export interface ConnectionGroup {
  readonly pattern: Pattern;
  /** Largest number of open connections. */
  readonly connections: number;
  /** Connections opened per second; 0 means without a rate limit. */
  readonly perSecond: number;
}

/** The settings of a run. Plain data, because it is sent between threads. */
export interface LoadPlan {
  readonly scenario: Scenario;
  readonly target: LoadTarget;
  /** Random number of this run, which is in its packets. */
  readonly run: number;
  readonly groups: readonly PairGroup[];
  readonly stalled: StalledGroup | null;
  readonly connections: ConnectionGroup | null;
  readonly workers: number;
  /** Packets in one write, and with TLS in one record. */
  readonly coalesce: number;
  readonly durationMs: number;
  /** Time before the measurement, in which packets are checked but neither rates nor latencies count. */
  readonly warmUpMs: number;
  /** Between two points of the timeline. */
  readonly sampleMs: number;
  /** Longest time to wait for packets in flight at the end. */
  readonly drainMs: number;
  /** Handshakes at once, of all workers together. */
  readonly handshakesAtOnce: number;
  /** Time limit of one connection, from DNS to ServerInfo. */
  readonly connectTimeoutMs: number;
}

/** Returns part `index` of `parts` of `whole`. The parts add up to the whole and differ by at most 1. */
function partOf(whole: number, index: number, parts: number): number {
  return Math.floor((whole * (index + 1)) / parts) - Math.floor((whole * index) / parts);
}

/** What one of the plan's workers does. Pair numbers start at `firstPair`. */
export interface WorkerPlan extends LoadPlan {
  readonly worker: number;
  readonly firstPair: number;
}

/** With two or more threads, greedy pairs have their own threads, so that they delay the others only in the relay. */
function pairsOf({ groups, workers }: LoadPlan, { className, pairs }: PairGroup, worker: number): number {
  const isMixed = groups.some((group) => group.className === 'greedy') && groups.length > 1;
  if (!isMixed || workers < 2) return partOf(pairs, worker, workers);
  const greedyFrom = Math.ceil(workers / 2);
  if (className === 'greedy') return worker < greedyFrom ? 0 : partOf(pairs, worker - greedyFrom, workers - greedyFrom);
  return worker < greedyFrom ? partOf(pairs, worker, greedyFrom) : 0;
}

/** Divides a plan among its workers. */
export function divide(plan: LoadPlan): WorkerPlan[] {
  const parts: WorkerPlan[] = [];
  let firstPair = 0;
  for (let worker = 0; worker < plan.workers; worker++) {
    const part = (whole: number): number => partOf(whole, worker, plan.workers);
    const groups = plan.groups.map((group) => ({ ...group, pairs: pairsOf(plan, group, worker) }));
    const { stalled, connections } = plan;
    parts.push({
      ...plan,
      worker,
      firstPair,
      groups,
      stalled:
        stalled === null
          ? null
          : {
              ...stalled,
              receivers: part(stalled.receivers),
              packetsPerSecond: (stalled.packetsPerSecond * part(stalled.receivers)) / stalled.receivers,
            },
      connections:
        connections === null
          ? null
          : {
              ...connections,
              connections: part(connections.connections),
              perSecond: connections.perSecond / plan.workers,
            },
      handshakesAtOnce: Math.max(1, Math.floor(plan.handshakesAtOnce / plan.workers)),
    });
    firstPair += groups.reduce((sum, { pairs }) => sum + pairs, 0);
  }
  return parts;
}
