import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RefusalReason } from '../../src/observe/counters.ts';
import { addUp, compareRefusals, refusalsOf, sum } from './soak-account.ts';
import { Ledger } from './soak-ledger.ts';

const SCRAPES = 4;

/** A relay that was asked four times and served five connects, one of which sent garbage. */
const METRICS: ReadonlyMap<string, number> = new Map([
  ['towpath_packets_received_total{kind="disco"}', 10],
  ['towpath_packets_received_total{kind="other"}', 90],
  ['towpath_packets_sent_total', 95],
  ['towpath_packets_dropped_total{reason="queue_head",kind="other"}', 5],
  ['towpath_tcp_accepts_total', 9],
  ['towpath_tls_connections_total{version="TLSv1.3"}', 4],
  ['towpath_accepts_total', 4],
  ['towpath_open_streams', 1],
  ['towpath_refusals_total{reason="tls_error"}', 1],
  ['towpath_refusals_total{reason="tls_timeout"}', 0],
]);

function ledger(): Ledger {
  const made = new Ledger();
  Object.assign(made, { tcp: 5, upgrades: 4, packets: 100 });
  return made;
}

const failing = (metrics: ReadonlyMap<string, number>, made = ledger()): string[] =>
  addUp(metrics, made, SCRAPES)
    .filter(({ holds }) => !holds)
    .map(({ what }) => what);

describe('adding up a soak', () => {
  it('sums a metric over its labels, and takes no other that starts alike', () => {
    assert.equal(sum(METRICS, 'towpath_packets_received_total'), 100);
    assert.equal(sum(METRICS, 'towpath_packets_received_total', '"disco"'), 10);
    assert.equal(sum(METRICS, 'towpath_packets'), 0);
  });

  it('holds for counters that agree', () => {
    assert.deepEqual(failing(METRICS), []);
  });

  it('names what does not agree', () => {
    assert.deepEqual(failing(new Map(METRICS).set('towpath_packets_sent_total', 94)), [
      'packets received = sent + dropped',
    ]);
    assert.deepEqual(failing(new Map(METRICS).set('towpath_open_streams', 2)), [
      'open streams = the one of this scrape',
    ]);
    const lost = ledger();
    lost.stunSent = 1;
    assert.equal(failing(METRICS, lost).length, 2);
  });

  it('compares refusals by reason in both directions', () => {
    const counted = refusalsOf(METRICS);
    assert.deepEqual([...counted], [['tls_error', 1]]);
    const bad = (is: [string, number][], caused: [RefusalReason, number][]): string[] =>
      compareRefusals(new Map(is), { caused: new Map(caused), possible: new Map([['tls_closed', 5]]) })
        .filter(({ holds }) => !holds)
        .map(({ what }) => what);
    assert.deepEqual(bad([['tls_error', 198]], [['tls_error', 200]]), []);
    assert.deepEqual(bad([['tls_error', 190]], [['tls_error', 200]]), ['refusals for tls_error']);
    assert.deepEqual(bad([], [['tls_error', 2]]), ['refusals for tls_error']);
    assert.deepEqual(bad([['tls_closed', 6]], [['tls_closed', 1]]), []);
    assert.deepEqual(bad([['head_closed', 9]], []), ['refusals for head_closed']);
  });
});
