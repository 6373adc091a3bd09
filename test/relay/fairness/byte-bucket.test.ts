import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { MIN_BURST_BYTES, ByteBucket } from '../../../src/relay/fairness/byte-bucket.ts';

suite('token bucket', () => {
  test('§9.58 with rate = burst = 65568 the first frame passes at once and the second waits one second', () => {
    const bucket = new ByteBucket({ bytesPerSecond: 65_568, burstBytes: 65_568 }, 0);
    assert.equal(bucket.take(65_568, 0), 0);
    assert.equal(Math.round(bucket.take(65_568, 0)), 1000);
    assert.equal(bucket.take(65_568, 1000), 0);
  });

  test('§9.62 a burst below 65568 becomes 65568', () => {
    const bucket = new ByteBucket({ bytesPerSecond: 1, burstBytes: 1 }, 0);
    assert.equal(bucket.take(MIN_BURST_BYTES, 0), 0);
  });

  test('§9.97 one frame is charged at most 65568, and an empty one nothing', () => {
    const bucket = new ByteBucket({ bytesPerSecond: 1000, burstBytes: 0 }, 0);
    assert.equal(bucket.take(10_000_000, 0), 0);
    assert.equal(bucket.take(0, 0), 0);
    assert.equal(bucket.take(1000, 0), 1000);
  });

  test('over any time no more passes than rate × time + burst', () => {
    const takes = fc.array(fc.tuple(fc.integer({ min: 0, max: 70_000 }), fc.integer({ min: 0, max: 500 })), {
      maxLength: 300,
    });
    fc.assert(
      fc.property(takes, fc.integer({ min: 1, max: 1_000_000 }), (list, bytesPerSecond) => {
        const bucket = new ByteBucket({ bytesPerSecond, burstBytes: 100_000 }, 0);
        let now = 0;
        let passed = 0;
        for (const [bytes, pause] of list) {
          now += pause;
          if (bucket.take(bytes, now) === 0) passed += Math.min(bytes, MIN_BURST_BYTES);
          assert.ok(passed <= 100_000 + (now / 1000) * bytesPerSecond + 1);
        }
      }),
    );
  });
});
