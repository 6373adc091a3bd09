import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { Histogram } from '../../../src/tools/load/histogram.ts';

const MICROSECONDS = fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 2 ** 31 - 1 }));

function histogramOf(values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.add(value);
  return histogram;
}

suite('Histogram', () => {
  test('a percentile is the value of its rank, or up to 1.6 % more', () => {
    fc.assert(
      fc.property(
        fc.array(MICROSECONDS, { minLength: 1, maxLength: 300 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, share) => {
          const sorted = values.toSorted((a, b) => a - b);
          const exact = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
          const told = histogramOf(values).percentile(share)!;
          assert.ok(told >= exact && told <= exact * (1 + 1 / 64), `${told} for ${exact}`);
        },
      ),
    );
  });

  test('counts and the largest value are exact, merged or sent to another thread too', () => {
    fc.assert(
      fc.property(fc.array(MICROSECONDS, { maxLength: 50 }), fc.array(MICROSECONDS, { maxLength: 50 }), (a, b) => {
        const merged = histogramOf(a);
        const other = histogramOf(b);
        merged.merge(new Histogram(other.counts.slice(), other.max));
        const both = histogramOf([...a, ...b]);
        assert.deepEqual([merged.total, merged.max], [a.length + b.length, Math.max(0, ...a, ...b)]);
        assert.deepEqual(merged.counts, both.counts);
        assert.equal(merged.percentile(0.99), both.percentile(0.99));
      }),
    );
  });

  test('an empty one has no percentiles, also after it was cleared', () => {
    const histogram = histogramOf([1, 2, 3]);
    histogram.clear();
    assert.deepEqual([histogram.percentile(0.5), histogram.total, histogram.max], [null, 0, 0]);
  });

  test('what lies outside of its range is counted at the ends', () => {
    const histogram = histogramOf([-5, 0.2, 1e12]);
    assert.deepEqual([histogram.percentile(0), histogram.percentile(0.5), histogram.max], [0, 1, 2 ** 31 - 1]);
  });
});
