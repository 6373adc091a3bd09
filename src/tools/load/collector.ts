import { Histogram } from './histogram.ts';
import {
  addConnections,
  addPackets,
  noConnections,
  noPackets,
  type ConnectionCounts,
  type PacketCounts,
  type PairResult,
  type SentHistogram,
  type WorkerDone,
  type WorkerSample,
} from './messages.ts';
import { idleSince, machineText, machineTimes } from './machine-times.ts';
import type { ClassName, LoadPlan, PairGroup } from './plan.ts';
import type { ClassResult, Latencies, LoadResult, TimelinePoint } from './result.ts';
import type { ServerProcess } from './server-process.ts';
import { ConnectionErrors } from './connection-errors.ts';

/** When more than this part of the packets is late, this tester was too slow. */
const MAX_MISSED_SHARE = 0.001;
/** A thread that is busy for more than this part of the time delays packets. */
const MAX_CPU_SHARE = 0.8;
/** When timers of a thread are this late, its latencies measure the thread, not the relay. */
const MAX_LAG_MS = 20;

/** The counts of one class over all workers. */
interface ClassState {
  readonly group: PairGroup;
  now: PacketCounts;
  before: PacketCounts;
  /** At the end of the warm-up. */
  atStart: PacketCounts;
  readonly interval: Histogram;
  readonly total: Histogram;
}

/** Adds up the workers' samples: a timeline while they run, and the result at the end. */
export class Collector {
  readonly #plan: LoadPlan;
  readonly #server: ServerProcess | null;
  readonly #startedAt = new Date().toISOString();
  readonly #classes: ReadonlyMap<ClassName, ClassState>;
  readonly #latest: (WorkerSample | null)[];
  readonly #logins = new Histogram();
  readonly #pings = new Histogram();
  readonly #pingsInterval = new Histogram();
  readonly #lag = new Histogram();
  readonly #lagInterval = new Histogram();
  readonly #timeline: TimelinePoint[] = [];
  readonly #pairs: PairResult[] = [];
  readonly #connectionErrors = new ConnectionErrors();
  readonly #cpuShares: number[];
  #announced: number | null = null;
  #waiting: number;
  #startMs = 0;
  #pointMs = 0;
  #measuredFromMs = 0;
  #measuredPoints = 0;
  #serverCpu = 0;
  #serverRss = { atStart: 0, peak: 0 };
  #machine = machineTimes();

  constructor(plan: LoadPlan, server: ServerProcess | null) {
    this.#plan = plan;
    this.#server = server;
    this.#latest = Array.from({ length: plan.workers }, () => null);
    this.#cpuShares = Array.from({ length: plan.workers }, () => 0);
    this.#waiting = plan.workers;
    this.#classes = new Map(
      plan.groups.map((group) => [
        group.className,
        {
          group,
          ...{ now: noPackets(), before: noPackets(), atStart: noPackets() },
          ...{ interval: new Histogram(), total: new Histogram() },
        },
      ]),
    );
  }

  /** The traffic starts now. */
  begin(): void {
    this.#startMs = this.#pointMs = this.#measuredFromMs = performance.now();
    const usage = this.#server?.look() ?? null;
    this.#serverRss = { atStart: usage?.rssBytes ?? 0, peak: usage?.rssBytes ?? 0 };
    this.#machine = machineTimes();
  }

  /** Takes a worker's sample. Returns a new point of the timeline once all workers have sent a new sample. */
  take(sample: WorkerSample): TimelinePoint | null {
    this.#latest[sample.worker] = sample;
    for (const { className, latency } of sample.classes) {
      const state = this.#classes.get(className)!;
      const histogram = received(latency);
      state.interval.merge(histogram);
      if (sample.measured) state.total.merge(histogram);
    }
    const pings = received(sample.pings);
    this.#pingsInterval.merge(pings);
    if (sample.measured) this.#pings.merge(pings);
    this.#logins.merge(received(sample.logins));
    const lag = received(sample.lag);
    this.#lagInterval.merge(lag);
    if (sample.measured) this.#lag.merge(lag);
    this.#waiting--;
    if (sample.last || this.#waiting > 0) {
      if (sample.last) this.#sumUp();
      return null;
    }
    this.#waiting = this.#plan.workers;
    return this.#point(sample.measured);
  }

  /** Takes a worker's last message. */
  done(message: WorkerDone): void {
    this.#pairs.push(...message.pairs);
    for (const counted of message.connectionErrors) this.#connectionErrors.count(counted);
    this.#announced = message.announcedBytesPerSecond ?? this.#announced;
  }

  #sumUp(): ConnectionCounts {
    const connections = noConnections();
    for (const state of this.#classes.values()) state.now = noPackets();
    for (const sample of this.#latest) {
      if (sample === null) continue;
      addConnections(connections, sample.connections);
      for (const { className, counts } of sample.classes) addPackets(this.#classes.get(className)!.now, counts);
    }
    return connections;
  }

  #point(measured: boolean): TimelinePoint {
    const nowMs = performance.now();
    const seconds = Math.max(1, nowMs - this.#pointMs) / 1000;
    const connections = this.#sumUp();
    let sent = 0;
    let missing = 0;
    const classes = [...this.#classes].map(([name, { now, before, interval }]) => {
      sent += now.sent;
      missing += now.missing;
      return {
        name,
        sentPerSecond: (now.sent - before.sent) / seconds,
        deliveredPerSecond: (now.delivered - before.delivered) / seconds,
        p50Ms: milliseconds(interval.percentile(0.5)),
        p99Ms: milliseconds(interval.percentile(0.99)),
      };
    });
    const usage = this.#server?.look() ?? null;
    const point: TimelinePoint = {
      atSeconds: (nowMs - this.#startMs) / 1000,
      measured,
      classes,
      lossShare: sent === 0 ? 0 : missing / sent,
      openPairs: this.#latest.reduce((sum, sample) => sum + (sample?.openPairs ?? 0), 0),
      connections,
      pingP99Ms: milliseconds(this.#pingsInterval.percentile(0.99)),
      serverCpuShare: usage?.cpuShare ?? null,
      serverRssBytes: usage?.rssBytes ?? null,
      generatorCpuShare: Math.max(...this.#latest.map((sample) => sample?.cpuShare ?? 0)),
      lagP99Ms: milliseconds(this.#lagInterval.percentile(0.99)),
    };
    this.#keep(point, nowMs);
    return point;
  }

  #keep(point: TimelinePoint, nowMs: number): void {
    this.#timeline.push(point);
    this.#pointMs = nowMs;
    this.#pingsInterval.clear();
    this.#lagInterval.clear();
    for (const state of this.#classes.values()) {
      state.before = state.now;
      state.interval.clear();
      if (!point.measured) state.atStart = state.now;
    }
    this.#serverRss.peak = Math.max(this.#serverRss.peak, point.serverRssBytes ?? 0);
    if (!point.measured) {
      this.#measuredFromMs = nowMs;
      this.#machine = machineTimes();
      return;
    }
    this.#measuredPoints++;
    this.#serverCpu += point.serverCpuShare ?? 0;
    for (const sample of this.#latest) if (sample !== null) this.#cpuShares[sample.worker]! += sample.cpuShare;
  }

  /** The result, once all workers are done. */
  result(interrupted: boolean): LoadResult {
    const connections = this.#sumUp();
    const points = Math.max(1, this.#measuredPoints);
    const seconds = this.#measuredPoints === 0 ? 0 : (this.#pointMs - this.#measuredFromMs) / 1000;
    const cpuShare = Math.max(...this.#cpuShares) / points;
    const lagP99Ms = milliseconds(this.#lag.percentile(0.99));
    return {
      plan: this.#plan,
      startedAt: this.#startedAt,
      measuredSeconds: seconds,
      interrupted,
      classes: [...this.#classes.values()].map((state) => this.#class(state, seconds)),
      connections,
      logins: latencies(this.#logins),
      pings: latencies(this.#pings),
      server:
        this.#server === null
          ? null
          : {
              cpuShare: this.#serverCpu / points,
              rssAtStartBytes: this.#serverRss.atStart,
              rssPeakBytes: this.#serverRss.peak,
            },
      generator: {
        ...{ limits: this.#limits(cpuShare, lagP99Ms), cpuShare, lagP99Ms },
        ...{ idleShare: idleSince(this.#machine), runsOn: machineText() },
      },
      announcedBytesPerSecond: this.#announced,
      connectionErrors: this.#connectionErrors.list,
      timeline: this.#timeline,
    };
  }

  #limits(cpuShare: number, lagP99Ms: number | null): string[] {
    let due = 0;
    let missed = 0;
    for (const { now } of this.#classes.values()) {
      due += now.sent + now.skipped + now.missed;
      missed += now.missed;
    }
    const limits: string[] = [];
    if (missed > due * MAX_MISSED_SHARE) {
      limits.push(`${missed} of ${due} packets were not sent because a worker was late`);
    }
    if (cpuShare > MAX_CPU_SHARE) limits.push(`a worker used ${(cpuShare * 100).toFixed(0)} % of a CPU`);
    if (lagP99Ms !== null && lagP99Ms > MAX_LAG_MS) {
      limits.push(`the workers' own timers were late by ${lagP99Ms.toFixed(0)} ms (p99)`);
    }
    return limits;
  }

  #class({ group, now, before, atStart, total }: ClassState, seconds: number): ClassResult {
    const { sent, delivered, reordered, duplicated, corrupted, misrouted, skipped, missed } = now;
    const pairs = this.#pairs.filter(({ className }) => className === group.className);
    const perSecond = (value: (counts: PacketCounts) => number): number =>
      seconds === 0 ? 0 : (value(before) - value(atStart)) / seconds;
    const deliveredPerSecond = perSecond((counts) => counts.delivered);
    const shares = pairs.map(({ counts: own }) => ({ delivered: own.delivered, due: own.sent + own.skipped }));
    const due = shares.reduce((sum, share) => sum + share.due, 0);
    const used = shares.filter((share) => share.due > 0);
    return {
      name: group.className,
      pairs: group.pairs,
      packetBytes: group.packetBytes,
      ...{ sent, delivered, reordered, duplicated, corrupted, misrouted, skipped, missed },
      lost: pairs.reduce((sum, pair) => sum + lostOf(pair.counts), 0),
      offeredPerSecond: perSecond((counts) => counts.sent + counts.skipped + counts.missed),
      sentPerSecond: perSecond((counts) => counts.sent),
      deliveredPerSecond,
      deliveredBitsPerSecond: deliveredPerSecond * group.packetBytes * 8,
      latency: latencies(total),
      jain: jainIndex(pairs.map(({ measuredDelivered }) => measuredDelivered)),
      worstShare: used.length === 0 ? null : Math.min(...used.map((share) => share.delivered / share.due)),
      share: due === 0 ? null : shares.reduce((sum, share) => sum + share.delivered, 0) / due,
    };
  }
}

/** Corrupted packets arrived, so they do not count as lost. */
function lostOf({ sent, delivered, corrupted }: PacketCounts): number {
  return Math.max(0, sent - delivered - corrupted);
}

/** Jain's fairness index: (Σx)² / (n·Σx²); null when all values are 0. */
export function jainIndex(values: readonly number[]): number | null {
  const sum = values.reduce((total, value) => total + value, 0);
  const squares = values.reduce((total, value) => total + value * value, 0);
  return squares === 0 ? null : (sum * sum) / (values.length * squares);
}

function received({ counts, max }: SentHistogram): Histogram {
  return new Histogram(counts, max);
}

function milliseconds(microseconds: number | null): number | null {
  return microseconds === null ? null : microseconds / 1000;
}

function latencies(histogram: Histogram): Latencies {
  return {
    count: histogram.total,
    p50Ms: milliseconds(histogram.percentile(0.5)),
    p90Ms: milliseconds(histogram.percentile(0.9)),
    p99Ms: milliseconds(histogram.percentile(0.99)),
    p999Ms: milliseconds(histogram.percentile(0.999)),
    maxMs: histogram.total === 0 ? null : histogram.max / 1000,
  };
}
