import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counters, DropReason, PacketKind } from '../../src/observe/counters.ts';
import { derperMetrics, derperMetricsText } from '../../src/observe/derper-metrics.ts';

test('§4.13 the counts have the names of derper at /debug/varz', () => {
  const counters = new Counters();
  counters.connections = 3;
  counters.localKeys = 2;
  counters.remoteKeys = 5;
  counters.drop(DropReason.QueueHead, PacketKind.Disco, 90);
  const lines = derperMetricsText(counters).split('\n');
  for (const line of [
    '# TYPE derp_current_connections gauge',
    'derp_current_connections 3',
    'derp_clients_total 7',
    'derp_packets_dropped{reason="queue_head",kind="disco"} 1',
    'derp_bytes_dropped{reason="queue_head",kind="disco"} 90',
    'derp_packets_dropped{reason="dup_client",kind="other"} 0',
    'stun_requests{disposition="success"} 0',
  ]) {
    assert.ok(lines.includes(line), line);
  }
  const names = derperMetrics(counters).map(({ name }) => name);
  assert.equal(new Set(names).size, names.length, 'no name stands twice');
});
