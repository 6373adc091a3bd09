import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Counters, DropReason, PacketKind } from '../../src/observe/counters.ts';
import { Health } from '../../src/observe/health.ts';
import { createMetrics } from '../../src/observe/metrics.ts';

function setUp() {
  const counters = new Counters();
  const health = new Health();
  const registry = createMetrics({
    counters,
    version: '1.2.3',
    runtime: 'node 24.0.0',
    health,
    certificateExpiry: () => Date.now() + 86_400_000,
    bootstrapDnsQueriedNames: () => 7,
  });
  return { counters, health, registry };
}

/** Returns every number in the counters, with a function that sets it. */
function numberSetters(holder: object, path = ''): { path: string; set: (value: number) => void }[] {
  return Object.entries(holder).flatMap(([name, value]: [string, unknown]) => {
    const here = `${path}.${name}`;
    if (typeof value === 'number') return [{ path: here, set: (to: number) => void Reflect.set(holder, name, to) }];
    return typeof value === 'object' && value !== null ? numberSetters(value, here) : [];
  });
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('towpath_'));

describe('metrics', () => {
  it('show every number of the counters', async () => {
    const { counters, registry } = setUp();
    const setters = numberSetters(counters);
    assert.ok(setters.length > 80);
    for (const { path, set } of setters) {
      const before = lines(await registry.metrics());
      // Packets by kind are a sum in the counters; the total alone would make one kind negative.
      if (path === '.discoPacketsReceived') counters.packetsReceived = 1e6;
      set(123_457);
      const after = lines(await registry.metrics());
      assert.notDeepEqual(after, before, `${path} is in no metric`);
      set(0);
      counters.packetsReceived = 0;
    }
  });

  it('have all combinations of drop reason and kind from the start', async () => {
    const { counters, registry } = setUp();
    counters.drop(DropReason.QueueHead, PacketKind.Disco, 100);
    const text = lines(await registry.metrics());
    for (const name of ['packets', 'bytes']) {
      assert.equal(text.filter((line) => line.startsWith(`towpath_${name}_dropped_total{`)).length, 14);
    }
    assert.ok(text.includes('towpath_packets_dropped_total{reason="queue_head",kind="disco"} 1'));
    assert.ok(text.includes('towpath_bytes_dropped_total{reason="queue_head",kind="disco"} 100'));
    assert.ok(text.includes('towpath_packets_dropped_total{reason="unknown_dest",kind="other"} 0'));
  });

  it('tell packets by kind, STUN by disposition and the state of the process', async () => {
    const { counters, registry, health } = setUp();
    counters.packetsReceived = 5;
    counters.discoPacketsReceived = 2;
    counters.stunRateLimited = 3;
    health.set('certificate', 'expired');
    const text = lines(await registry.metrics());
    for (const expected of [
      'towpath_packets_received_total{kind="other"} 3',
      'towpath_packets_received_total{kind="disco"} 2',
      'towpath_stun_requests_total{disposition="rate_limited"} 3',
      'towpath_build_info{version="1.2.3",runtime="node 24.0.0"} 1',
      'towpath_ready 0',
      'towpath_bootstrap_dns_queried_names 7',
    ]) {
      assert.ok(text.includes(expected), expected);
    }
    const expiry = text.find((line) => line.startsWith('towpath_certificate_expiry_seconds '));
    assert.ok(Math.abs(Number(expiry?.split(' ')[1]) - 86_400) < 60, expiry);
  });

  it('do not grow from scrape to scrape', async () => {
    const { counters, registry } = setUp();
    counters.accepts = 4;
    await registry.metrics();
    assert.ok(lines(await registry.metrics()).includes('towpath_accepts_total 4'));
  });

  it('leave out the default metrics that are expensive with many sockets', async () => {
    const { registry } = setUp();
    const text = await registry.metrics();
    assert.doesNotMatch(text, /process_open_fds|nodejs_active_|nodejs_eventloop_lag_p/);
    assert.match(text, /nodejs_eventloop_lag_seconds/);
  });

  it('show no expiry while there is no certificate', async () => {
    const registry = createMetrics({
      counters: new Counters(),
      version: '0',
      runtime: 'node',
      certificateExpiry: () => null,
    });
    assert.deepEqual(
      lines(await registry.metrics()).filter((line) => line.includes('certificate_expiry')),
      [],
    );
  });
});
