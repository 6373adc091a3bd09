import type { ClassName } from './plan.ts';

/** Messages between the workers and the coordinator. They are plain data, because they are sent between threads. */

/** A histogram inside a message. */
export interface SentHistogram {
  readonly counts: Uint32Array;
  readonly max: number;
}

/** Counts of packets since the start. */
export interface PacketCounts {
  sent: number;
  /** Different packets that arrived whole. */
  delivered: number;
  reordered: number;
  duplicated: number;
  corrupted: number;
  misrouted: number;
  /** Due and not sent because the relay did not read fast enough. */
  skipped: number;
  /** Due and not sent because this tester was late. */
  missed: number;
  /** Missing sequence numbers. Packets that are still in flight do not count. */
  missing: number;
}

/** A {@link PacketCounts} of zeros. */
export function noPackets(): PacketCounts {
  return {
    sent: 0,
    delivered: 0,
    reordered: 0,
    duplicated: 0,
    corrupted: 0,
    misrouted: 0,
    skipped: 0,
    missed: 0,
    missing: 0,
  };
}

/** Adds `more` to `sum`. */
export function addPackets(sum: PacketCounts, more: Readonly<PacketCounts>): void {
  for (const key of Object.keys(sum) as (keyof PacketCounts)[]) sum[key] += more[key];
}

/** Counts of connections since the start. */
export interface ConnectionCounts {
  open: number;
  opened: number;
  failed: number;
  /** Ended by the relay or the network; stalled receivers do not count. */
  disconnected: number;
  /** Receivers that do not read. */
  stalled: number;
  /** Stalled receivers that the relay has ended. */
  cut: number;
  /** Bytes of packets that were sent to them. */
  fedBytes: number;
}

/** A {@link ConnectionCounts} of zeros. */
export function noConnections(): ConnectionCounts {
  return { open: 0, opened: 0, failed: 0, disconnected: 0, stalled: 0, cut: 0, fedBytes: 0 };
}

/** Adds `more` to `sum`. */
export function addConnections(sum: ConnectionCounts, more: Readonly<ConnectionCounts>): void {
  for (const key of Object.keys(sum) as (keyof ConnectionCounts)[]) sum[key] += more[key];
}

/** Why connections failed or ended, and how many did. */
export interface ConnectionErrorCount {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  count: number;
}

/** One class of pairs: counts since the start, latencies (µs) since the last sample. */
export interface ClassSample {
  readonly className: ClassName;
  readonly counts: PacketCounts;
  readonly latency: SentHistogram;
}

/** A worker's sample. Sent regularly, and once more at the end. */
export interface WorkerSample {
  readonly kind: 'sample';
  readonly worker: number;
  /** False during the warm-up. */
  readonly measured: boolean;
  /** True for the sample after the end, with the packets that were still in flight. */
  readonly last: boolean;
  readonly classes: readonly ClassSample[];
  /** Pairs of which both connections are open. */
  readonly openPairs: number;
  readonly connections: ConnectionCounts;
  /** Durations of logins (µs) since the last sample. */
  readonly logins: SentHistogram;
  /** Round trips of Pings (µs) since the last sample. */
  readonly pings: SentHistogram;
  /** How late the worker's own timer was (µs), since the last sample. */
  readonly lag: SentHistogram;
  /** Part of one CPU that the worker used since the last sample. */
  readonly cpuShare: number;
}

/** One pair at the end. */
export interface PairResult {
  readonly className: ClassName;
  readonly counts: PacketCounts;
  /** Delivered while it was measured. */
  readonly measuredDelivered: number;
}

/** A worker's last message. */
export interface WorkerDone {
  readonly kind: 'done';
  readonly worker: number;
  readonly pairs: readonly PairResult[];
  readonly connectionErrors: readonly ConnectionErrorCount[];
  /** Bytes per second that the relay allows each client, as its ServerInfo says; 0 for no limit, null when none was seen. */
  readonly announcedBytesPerSecond: number | null;
}

/** Everything that a worker sends. */
export type FromWorker =
  /** All its pairs and stalled receivers are connected. */
  | { readonly kind: 'ready'; readonly worker: number }
  /** Number of open connections, before it is ready. */
  | { readonly kind: 'opening'; readonly worker: number; readonly opened: number }
  | WorkerSample
  | WorkerDone
  /** It could not do its work. */
  | {
      readonly kind: 'failed';
      readonly worker: number;
      readonly code: string;
      readonly message: string;
      readonly hint: string;
    };

/** Everything that the coordinator sends to a worker. */
export type ToWorker = { readonly kind: 'begin' } | { readonly kind: 'stop' };
