import { noConnections } from '../../../src/tools/load/messages.ts';
import type { LoadPlan } from '../../../src/tools/load/plan.ts';
import type { Latencies, LoadResult } from '../../../src/tools/load/result.ts';

/** Makes a plan of one second for a relay at `url`, without TLS; tests replace parts of it. */
export function examplePlan(url: string, changes: Partial<LoadPlan> = {}): LoadPlan {
  return {
    scenario: 'throughput',
    target: { name: 'test', url, serverName: '', verify: { kind: 'none' }, idealNode: '', ip: null, websocket: false },
    run: 1,
    groups: [{ className: 'pairs', pairs: 2, packetBytes: 200, sending: { kind: 'rate', packetsPerSecond: 100 } }],
    stalled: null,
    connections: null,
    workers: 1,
    coalesce: 1,
    durationMs: 1000,
    warmUpMs: 0,
    sampleMs: 500,
    drainMs: 2000,
    handshakesAtOnce: 8,
    connectTimeoutMs: 30_000,
    ...changes,
  };
}

const LATENCY: Latencies = { count: 999, p50Ms: 1, p90Ms: 2, p99Ms: 4, p999Ms: 8, maxMs: 9 };
const NONE: Latencies = { count: 0, p50Ms: null, p90Ms: null, p99Ms: null, p999Ms: null, maxMs: null };

/** The result of a run that lost 1 of 1000 packets. */
export function exampleResult(changes: Partial<LoadResult> = {}): LoadResult {
  const connections = { ...noConnections(), opened: 4, open: 4 };
  const point = (atSeconds: number, perSecond: number): LoadResult['timeline'][number] => ({
    atSeconds,
    measured: atSeconds > 1,
    classes: [{ name: 'pairs', sentPerSecond: perSecond, deliveredPerSecond: perSecond, p50Ms: 1, p99Ms: 4 }],
    lossShare: 0.001,
    openPairs: 2,
    connections,
    pingP99Ms: null,
    serverCpuShare: null,
    serverRssBytes: null,
    generatorCpuShare: 0.1,
    lagP99Ms: 0.5,
  });
  return {
    plan: examplePlan('http://127.0.0.1:1/derp'),
    startedAt: '2026-11-24T12:00:00.000Z',
    measuredSeconds: 2,
    interrupted: false,
    classes: [
      {
        name: 'pairs',
        pairs: 2,
        packetBytes: 200,
        sent: 1000,
        delivered: 999,
        lost: 1,
        ...{ reordered: 0, duplicated: 0, corrupted: 0, misrouted: 0, skipped: 0, missed: 0 },
        offeredPerSecond: 500,
        sentPerSecond: 500,
        deliveredPerSecond: 499.5,
        deliveredBitsPerSecond: 799_200,
        latency: LATENCY,
        jain: 1,
        worstShare: 0.998,
        share: 0.999,
      },
    ],
    connections,
    logins: { ...LATENCY, count: 4 },
    pings: NONE,
    server: null,
    generator: { limits: [], cpuShare: 0.1, lagP99Ms: 0.5, idleShare: 0.6, runsOn: 'towpath on an example' },
    announcedBytesPerSecond: 0,
    connectionErrors: [],
    timeline: [point(0.5, 400), point(1, 500), point(1.5, 510), point(2, 490)],
    ...changes,
  };
}
