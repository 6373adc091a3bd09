import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { SlidingWindow } from '../../../src/relay/door/sliding-window.ts';

describe('a rate by source', () => {
  let now = 0;
  beforeEach(() => (now = 1_000_000));

  /** Returns how many of `times` events are accepted. */
  function count(rate: SlidingWindow, key: string, times: number): number {
    let passed = 0;
    for (let i = 0; i < times; i++) {
      if (rate.isFull(key, now)) continue;
      passed++;
      rate.count(key, now);
    }
    return passed;
  }

  it('lets exactly so many pass in a window, then as many as leave it', () => {
    const rate = new SlidingWindow({ count: 10, windowSeconds: 10, blockSeconds: 0 }, 100);
    assert.equal(count(rate, 'a', 20), 10);
    assert.equal(count(rate, 'b', 3), 3);
    now += 9000;
    assert.equal(count(rate, 'a', 20), 0);
    now += 6000;
    assert.equal(count(rate, 'a', 20), 5);
    now += 20_000;
    assert.equal(count(rate, 'a', 20), 10);
  });

  it('never lets more pass than the rule in one of its windows, nor twice as many in any time as long', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 300 }),
        (limit, gaps) => {
          const rate = new SlidingWindow({ count: limit, windowSeconds: 1, blockSeconds: 0 }, 10);
          const passed: number[] = [];
          let at = 0;
          for (const gap of gaps) {
            at += gap;
            if (rate.isFull('a', at)) continue;
            rate.count('a', at);
            passed.push(at);
          }
          for (const start of passed) {
            const inWindow = passed.filter((time) => time >= start && time < start + 1000).length;
            assert.ok(inWindow < 2 * limit + 1, `${inWindow} of ${limit}`);
          }
          assert.ok(rate.size <= 1);
        },
      ),
    );
  });

  it('blocks a key that did it too often for longer than its window, and then begins anew', () => {
    const rate = new SlidingWindow({ count: 2, windowSeconds: 10, blockSeconds: 60 }, 100);
    assert.equal(count(rate, 'a', 9), 2);
    now += 59_000;
    assert.equal(count(rate, 'a', 9), 0);
    now += 1001;
    assert.equal(count(rate, 'a', 9), 2);
  });

  it('a limit of one, and no limit', () => {
    assert.equal(count(new SlidingWindow({ count: 1, windowSeconds: 10, blockSeconds: 0 }, 100), 'a', 9), 1);
    const none = new SlidingWindow({ count: 0, windowSeconds: 10, blockSeconds: 0 }, 100);
    assert.equal(count(none, 'a', 999), 999);
    assert.equal(none.size, 0);
  });

  it('keeps a bounded number of keys; one that is new has an entry of its own whatever strangers do', () => {
    const rate = new SlidingWindow({ count: 8, windowSeconds: 10, blockSeconds: 60 }, 64);
    assert.equal(count(rate, 'greedy', 99), 8);
    for (let i = 0; i < 5000; i++) count(rate, `stranger${i}`, 1);
    assert.equal(rate.size, 64);
    assert.equal(count(rate, 'newcomer', 99), 8);
    assert.equal(count(rate, 'greedy', 9), 0, 'who did too much is not forgotten');
  });

  it('forgets keys that have done nothing for long', () => {
    const rate = new SlidingWindow({ count: 3, windowSeconds: 10, blockSeconds: 60 }, 1000);
    for (let i = 0; i < 500; i++) count(rate, `k${i}`, i === 499 ? 9 : 1);
    assert.equal(rate.size, 500);
    const sweepAll = (): void => {
      for (let i = 0; i < 200; i++) rate.sweep(now);
    };
    now += 20_001;
    sweepAll();
    assert.equal(rate.size, 1, 'the blocked one stays');
    now += 60_000;
    sweepAll();
    assert.equal(rate.size, 0);
  });
});
