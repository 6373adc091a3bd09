import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { Clock } from '../../../src/base/clock.ts';
import { WakeList } from '../../../src/base/wake-list.ts';
import { FairShare } from '../../../src/relay/fairness/fair-share.ts';
import { SharedUse, type ThreadUse } from '../../../src/relay/fairness/shared-use.ts';
import { partOfTotal, ThreadShares } from '../../../src/relay/fairness/thread-shares.ts';

const TOTAL = 1_000_000;
const idle: ThreadUse = { queuedBytes: 0, bytesPerSecond: 0, waitingWeight: 0 };

/** Returns the part of each thread. */
function parts(uses: readonly ThreadUse[]): number[] {
  return uses.map((own) =>
    partOfTotal(
      TOTAL,
      own,
      uses.filter((other) => other !== own),
    ),
  );
}

suite('the total of several threads', () => {
  test('all threads together get the total, and none less than a little', () => {
    const use = fc.record({
      queuedBytes: fc.constant(0),
      bytesPerSecond: fc.nat(2 * TOTAL),
      waitingWeight: fc.oneof(fc.constant(0), fc.double({ min: 0.1, max: 100, noNaN: true })),
    });
    fc.assert(
      fc.property(fc.array(use, { minLength: 1, maxLength: 8 }), (uses) => {
        const all = parts(uses);
        assert.ok(Math.abs(all.reduce((sum, part) => sum + part, 0) - TOTAL) < 1);
        for (const part of all) assert.ok(part > 0);
      }),
    );
  });

  test('where clients wait they share by their weights what the threads without any leave', () => {
    const [three, one, none] = parts([
      { ...idle, waitingWeight: 3 },
      { ...idle, waitingWeight: 1 },
      { ...idle, bytesPerSecond: 100_000 },
    ]);
    assert.ok(none! >= 100_000 && none! < 150_000);
    assert.ok(Math.abs(three! - 3 * one!) < 1);
  });

  test('one thread alone has it all; an idle one keeps a little, and gets more as soon as its clients wait', () => {
    assert.deepEqual(parts([{ ...idle, waitingWeight: 1 }]), [TOTAL]);
    const [busy, asleep] = parts([{ ...idle, waitingWeight: 5, bytesPerSecond: TOTAL }, idle]);
    assert.ok(busy! > 0.97 * TOTAL && asleep! > 0);
    assert.deepEqual(
      parts([
        { ...idle, waitingWeight: 1 },
        { ...idle, waitingWeight: 1 },
      ]),
      [TOTAL / 2, TOTAL / 2],
    );
  });

  test('the memory of queues that one thread uses is missing to the others; it is free again when the thread has ended', () => {
    const memory = SharedUse.createMemory(2);
    const threads = [0, 1].map((index) => {
      const clock = new Clock();
      const space = { freeBytes: 1000 };
      const share = new FairShare(new WakeList(), TOTAL / 2, 0);
      const use = new SharedUse(memory, index);
      const common = { use, clock, space, queueBytes: 1000, totalBytesPerSecond: () => TOTAL, share: () => share };
      return { clock, space, shares: new ThreadShares(common) };
    });
    const [one, other] = threads as [(typeof threads)[number], (typeof threads)[number]];
    const tick = (now: number): void => {
      for (const { clock } of threads) clock.tick(now);
    };
    one.space.freeBytes -= 300;
    tick(1000);
    assert.deepEqual([one.space.freeBytes, other.space.freeBytes], [700, 700]);
    other.space.freeBytes -= 500;
    tick(1100);
    tick(1200);
    assert.deepEqual([one.space.freeBytes, other.space.freeBytes], [200, 200]);
    assert.deepEqual([one.shares.queuedBytes, other.shares.queuedBytes], [300, 500]);
    one.space.freeBytes += 300;
    tick(1300);
    assert.deepEqual([one.space.freeBytes, other.space.freeBytes], [500, 500]);
    other.shares.close();
    one.clock.tick(1400);
    assert.equal(one.space.freeBytes, 1000);
    one.shares.close();
  });
});
