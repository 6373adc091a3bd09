import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { Counters, DropReason, PacketKind } from '../../src/observe/counters.ts';
import { addCounters } from '../../src/relay/snapshot.ts';

const count = fc.integer({ min: 0, max: 1_000_000 });

/** Makes a relay with a count of each kind. */
const counters: fc.Arbitrary<Counters> = fc
  .record({
    accepts: count,
    packets: count,
    bytes: count,
    refused: count,
    frames: fc.array(fc.integer({ min: 1, max: 200 })),
  })
  .map(({ accepts, packets, bytes, refused, frames }) => {
    const made = new Counters();
    made.accepts = accepts;
    made.packetsReceived = packets;
    made.refusals.tls_error = refused;
    made.tlsVersions['TLSv1.3'] = accepts;
    made.drop(DropReason.QueueHead, PacketKind.Disco, bytes);
    for (const each of frames) made.flush(each);
    return made;
  });

suite('what several relays counted', () => {
  test('is added field by field, in lists and tables too', () => {
    fc.assert(
      fc.property(fc.array(counters, { maxLength: 4 }), (list) => {
        const sum = addCounters(list);
        const of = (value: (one: (typeof list)[number]) => number): number =>
          list.reduce((n, one) => n + value(one), 0);
        assert.equal(
          sum.accepts,
          of((one) => one.accepts),
        );
        assert.equal(
          sum.packetsReceived,
          of((one) => one.packetsReceived),
        );
        assert.equal(
          sum.refusals.tls_error,
          of((one) => one.refusals.tls_error),
        );
        assert.equal(
          sum.tlsVersions['TLSv1.3'],
          of((one) => one.tlsVersions['TLSv1.3']),
        );
        assert.equal(
          sum.dropBytes[DropReason.QueueHead]![PacketKind.Disco],
          of((one) => one.dropBytes[DropReason.QueueHead]![PacketKind.Disco]!),
        );
        assert.deepEqual(
          sum.flushSizes,
          new Counters().flushSizes.map((_, i) => of((one) => one.flushSizes[i]!)),
        );
      }),
    );
  });

  test('has every field that one relay has, and of one relay is the same', () => {
    fc.assert(
      fc.property(counters, (one) => {
        assert.deepEqual(addCounters([one]), structuredClone(one));
        assert.deepEqual(Object.keys(addCounters([])), Object.keys(new Counters()));
      }),
    );
  });

  test('weighs an average by how much went into it', () => {
    const [busy, idle] = [new Counters(), new Counters()];
    Object.assign(busy, { flushes: 3, queueDelaySeconds: 0.4 });
    Object.assign(idle, { flushes: 1, queueDelaySeconds: 0.8 });
    const sum = addCounters([busy, idle]);
    assert.ok(Math.abs(sum.queueDelaySeconds - 0.5) < 1e-9);
  });
});
