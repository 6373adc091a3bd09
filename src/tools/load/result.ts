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

/** The result of one class of pairs. Counts are since the start; rates and latencies are those after the warm-up. */
export interface ClassResult extends Omit<PacketCounts, 'missing'> {
  readonly name: ClassName;
  readonly pairs: number;
  readonly packetBytes: number;
  /** Sent, but never received. */
  readonly lost: number;
  /** What should have been sent: `sent`, `skipped` and `missed` together, per second. */
  readonly offeredPerSecond: number;
  readonly sentPerSecond: number;
  readonly deliveredPerSecond: number;
  readonly deliveredBitsPerSecond: number;
  readonly latency: Latencies;
  /** Jain's index of the delivered packets per pair: 1 when all pairs got the same, 1/pairs when one pair got all. */
  readonly jain: number | null;
  /** Delivered part of the due packets: of the worst pair, and of all pairs. */
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
  /** Part of the packets sent so far that are missing although later ones have arrived. */
  readonly lossShare: number;
  /** Pairs of which both connections are open. */
  readonly openPairs: number;
  readonly connections: ConnectionCounts;
  readonly pingP99Ms: number | null;
  readonly serverCpuShare: number | null;
  readonly serverRssBytes: number | null;
  /** CPU share of the busiest worker. */
  readonly generatorCpuShare: number;
  readonly lagP99Ms: number | null;
}

/** The whole result of a run. */
export interface LoadResult {
  readonly plan: LoadPlan;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly measuredSeconds: number;
  /** True when it was ended early. */
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
    /** Mean part of one CPU that the busiest worker used. */
    readonly cpuShare: number;
    readonly lagP99Ms: number | null;
    /** Idle part of all CPUs of this machine. */
    readonly idleShare: number;
    /** Its version, runtime and machine. */
    readonly runsOn: string;
  };
  /** The limit that the relay announces to each client; 0: no limit, null: it is not known. */
  readonly announcedBytesPerSecond: number | null;
  readonly connectionErrors: readonly ConnectionErrorCount[];
  readonly timeline: readonly TimelinePoint[];
}

/** Returns the class that a scenario is about. Greedy pairs may lose packets. */
export function mainClass(result: LoadResult): ClassResult | null {
  return result.classes.find(({ name }) => name !== 'greedy') ?? null;
}
