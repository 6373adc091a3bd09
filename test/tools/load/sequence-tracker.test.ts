import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { Arrival, SequenceTracker, TRACKED_PACKETS } from '../../../src/tools/load/sequence-tracker.ts';

suite('SequenceTracker', () => {
  test('tells new, late and second packets apart, in any order', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 200 }), { maxLength: 400 }), (sequences) => {
        const tracker = new SequenceTracker();
        const seen = new Set<number>();
        let highest = -1;
        for (const sequence of sequences) {
          const expected = seen.has(sequence)
            ? Arrival.Duplicated
            : sequence < highest
              ? Arrival.Reordered
              : Arrival.InOrder;
          assert.equal(tracker.take(sequence), expected);
          seen.add(sequence);
          highest = Math.max(highest, sequence);
        }
        assert.deepEqual([tracker.arrived, tracker.missing], [seen.size, highest + 1 - seen.size]);
      }),
    );
  });

  test('does so across gaps that are longer than it remembers', () => {
    const tracker = new SequenceTracker();
    tracker.take(0);
    tracker.take(5 * TRACKED_PACKETS);
    assert.equal(tracker.take(5 * TRACKED_PACKETS - 1), Arrival.Reordered);
    assert.equal(tracker.take(5 * TRACKED_PACKETS - 1), Arrival.Duplicated);
    assert.equal(tracker.missing, 5 * TRACKED_PACKETS - 2);
    // These are too old to be distinguished by their numbers.
    assert.equal(tracker.take(1), Arrival.Reordered);
  });

  test('a packet from long ago is a second one when none is missing', () => {
    const tracker = new SequenceTracker();
    for (let sequence = 0; sequence < 2 * TRACKED_PACKETS; sequence++) tracker.take(sequence);
    assert.equal(tracker.take(3), Arrival.Duplicated);
    assert.equal(tracker.arrived, 2 * TRACKED_PACKETS);
  });
});
