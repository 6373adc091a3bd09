import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { crowdedOut, decodeOpened, encodeOpened } from '../../src/cluster/connections.ts';

const connection = (openedAt: number) => ({ ip: '192.0.2.1', port: openedAt, openedAt });

suite('connections of a key in a region', () => {
  test('what a relay says of them is believed for a time', () => {
    const text = encodeOpened([connection(5), connection(7)], 1000);
    assert.deepEqual(decodeOpened(text, 999), [5, 7]);
    assert.deepEqual(decodeOpened(text, 1000), []);
    assert.deepEqual(decodeOpened('nonsense 1', 0), []);
  });

  test('the newest stay: all relays together keep as many as the limit allows, and never end all', () => {
    const relays = fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 1000 }), { maxLength: 6 }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(relays, fc.integer({ min: 1, max: 5 }), (all, limit) => {
        const times = [...new Set(all.flat())];
        // No two relays have a connection with the same time: with clocks in milliseconds, this is nearly always so.
        const owned = all.map((list, i) => list.filter((time) => all.findIndex((other) => other.includes(time)) === i));
        const left = owned.flatMap((list, i) => {
          const others = owned.filter((_, j) => j !== i).flat();
          const gone = crowdedOut(list.map(connection), others, limit);
          return list.filter((time) => !gone.some(({ openedAt }) => openedAt === time));
        });
        const newest = times.sort((a, b) => b - a).slice(0, limit);
        assert.deepEqual(
          left.sort((a, b) => b - a),
          newest,
        );
      }),
    );
  });
});
