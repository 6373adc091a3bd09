import type { ConnectionCounts, PacketCounts, ConnectionErrorCount } from './messages.ts';
import type { ClassName, LoadPlan } from './plan.ts';

/** Latencies of one kind, in milliseconds; null when nothing was measured. */
export interface Latencies {
  readonly count: number;
  readonly p50Ms: number | null;
  readonly p90Ms: number | null;
  readonly p99Ms: number | null;
  readonly p999Ms: number | null;
  readonly maxMs: number | null;
}

/** What became of one class of pairs. Counts are since the start, rates and latencies are those after the warm-up. */
export interface ClassResult extends Omit<PacketCounts, 'missing'> {
  readonly name: ClassName;
  readonly pairs: number;
  readonly packetBytes: number;
  /** Sent, and never seen again. */
  readonly lost: number;
  /** What should have been sent: `sent`, `skipped` and `missed` together, per second. */
  readonly offeredPerSecond: number;
  readonly sentPerSecond: number;
  readonly deliveredPerSecond: number;
  readonly deliveredBitsPerSecond: number;
  readonly latency: Latencies;
  /** Jain's index of what each pair got delivered: 1 when all got the same, 1/pairs when one got all. */
  readonly jain: number | null;
  /** Delivered part of what was due, of the pair that fared worst, and of all. */
  readonly worstShare: number | null;
  readonly share: number | null;
}

/** One point of the timeline: what happened since the point before. */
export interface TimelinePoint {
  /** Seconds since the start of the traffic. */
  readonly atSeconds: number;
  readonly measured: boolean;
  readonly classes: readonly {
    readonly name: ClassName;
    readonly sentPerSecond: number;
    readonly deliveredPerSecond: number;
    readonly p50Ms: number | null;
    readonly p99Ms: number | null;
  }[];
  /** Part of what was sent until now that later packets have passed over. */
  readonly lossShare: number;
  /** Pairs of which both connections are open. */
  readonly openPairs: number;
  readonly connections: ConnectionCounts;
  readonly pingP99Ms: number | null;
  readonly serverCpuShare: number | null;
  readonly serverRssBytes: number | null;
  /** Of the worker that used most. */
  readonly generatorCpuShare: number;
  readonly lagP99Ms: number | null;
}

/** Everything that a run has found out. */
export interface LoadResult {
  readonly plan: LoadPlan;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly measuredSeconds: number;
  /** Somebody ended it before its time. */
  readonly interrupted: boolean;
  readonly classes: readonly ClassResult[];
  readonly connections: ConnectionCounts;
  readonly logins: Latencies;
  readonly pings: Latencies;
  readonly server: {
    /** Mean part of one CPU. */
    readonly cpuShare: number;
    readonly rssAtStartBytes: number;
    readonly rssPeakBytes: number;
  } | null;
  readonly generator: {
    /** Why this tester, and not the relay, may have set the result; empty when it did not. */
    readonly limits: readonly string[];
    /** Mean part of one CPU, of the worker that used most. */
    readonly cpuShare: number;
    readonly lagP99Ms: number | null;
    /** Part of all CPUs of this machine that nobody used. */
    readonly idleShare: number;
    /** Its version, runtime and machine. */
    readonly runsOn: string;
  };
  /** What the relay allows each client, as it says; 0: no limit, null: it was not heard. */
  readonly announcedBytesPerSecond: number | null;
  readonly troubles: readonly ConnectionErrorCount[];
  readonly timeline: readonly TimelinePoint[];
}

/** The class by which a scenario is judged; the greedy ones beside it may lose. */
export function mainClass(result: LoadResult): ClassResult | null {
  return result.classes.find(({ name }) => name !== 'greedy') ?? null;
}
