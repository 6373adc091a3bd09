import { sum } from './soak-account.ts';
import type { Metrics, SoakRelay } from './soak-relay.ts';

export const SAMPLE_EVERY_MS = 10_000;

/** The relay at one moment. Times are seconds, sizes bytes. */
export interface Sample {
  /** Since the start of the run. */
  readonly atSeconds: number;
  readonly rssBytes: number;
  /** Null where the runtime does not report it. */
  readonly heapUsedBytes: number | null;
  readonly descriptors: number;
  readonly cpuSeconds: number;
  /** From the relay's own metrics; null where the runtime does not measure it. */
  readonly loopDelayMeanSeconds: number | null;
  readonly loopDelayP99Seconds: number | null;
  /** Round trip of `/metrics`, which every runtime has. */
  readonly scrapeSeconds: number;
  readonly connections: number;
  readonly openStreams: number;
  readonly accepts: number;
  readonly tcpAccepts: number;
  readonly packetsReceived: number;
  readonly packetsSent: number;
  readonly packetsDropped: number;
  readonly refusals: number;
  readonly stunAnswers: number;
  readonly generatorRssBytes: number;
}

/** Takes one sample; `startedAtMs` is `performance.now()` at the start of the run. */
export async function takeSample(relay: SoakRelay, startedAtMs: number): Promise<Sample> {
  const askedAtMs = performance.now();
  const metrics = await relay.scrape();
  const get = (name: string, label?: string): number => sum(metrics, `towpath_${name}`, label);
  return {
    atSeconds: (askedAtMs - startedAtMs) / 1000,
    scrapeSeconds: (performance.now() - askedAtMs) / 1000,
    rssBytes: relay.rssBytes(),
    heapUsedBytes: measured(metrics, 'nodejs_heap_size_used_bytes'),
    descriptors: relay.descriptors(),
    cpuSeconds: relay.cpuSeconds(),
    loopDelayMeanSeconds: measured(metrics, 'nodejs_eventloop_lag_mean_seconds'),
    loopDelayP99Seconds: measured(metrics, 'nodejs_eventloop_lag_p99_seconds'),
    connections: get('connections'),
    openStreams: get('open_streams'),
    accepts: get('accepts_total'),
    tcpAccepts: get('tcp_accepts_total'),
    packetsReceived: get('packets_received_total'),
    packetsSent: get('packets_sent_total'),
    packetsDropped: get('packets_dropped_total'),
    refusals: get('refusals_total'),
    stunAnswers: get('stun_requests_total', '"success"'),
    generatorRssBytes: process.memoryUsage.rss(),
  };
}

/** Returns a metric that only some runtimes have; null without a number, or if it is 0. */
function measured(metrics: Metrics, name: string): number | null {
  const value = metrics.get(name) ?? 0;
  return Number.isFinite(value) && value > 0 ? value : null;
}
