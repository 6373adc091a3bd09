import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { SourceRate } from '../../src/net/source-rate.ts';

/** The library delivers its verdicts by promise. */
const settled = (): Promise<void> => Promise.resolve().then(() => undefined);

describe('a rate by source', () => {
  let now = 1_000_000;
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'], now }));
  afterEach(() => mock.timers.reset());

  function pass(ms: number): void {
    now += ms;
    mock.timers.tick(ms);
  }

  async function count(rate: SourceRate, key: string, times: number): Promise<number> {
    let accepted = 0;
    for (let i = 0; i < times; i++) {
      if (rate.isFull(key, now)) continue;
      accepted++;
      rate.count(key, now);
      await settled();
    }
    return accepted;
  }

  it('lets exactly so many pass in a window, then none until it ends', async () => {
    const rate = new SourceRate({ count: 5, windowSeconds: 10, blockSeconds: 0 }, 100);
    assert.equal(await count(rate, 'a', 20), 5);
    assert.equal(await count(rate, 'b', 3), 3);
    pass(9000);
    assert.equal(await count(rate, 'a', 20), 0);
    pass(1001);
    assert.equal(await count(rate, 'a', 20), 5);
  });

  it('blocks a key that did it too often for longer than its window', async () => {
    const rate = new SourceRate({ count: 2, windowSeconds: 10, blockSeconds: 60 }, 100);
    assert.equal(await count(rate, 'a', 9), 2);
    pass(59_000);
    assert.equal(await count(rate, 'a', 9), 0);
    pass(1001);
    assert.equal(await count(rate, 'a', 9), 2);
  });

  it('a limit of one, and no limit', async () => {
    assert.equal(await count(new SourceRate({ count: 1, windowSeconds: 10, blockSeconds: 0 }, 100), 'a', 9), 1);
    const none = new SourceRate({ count: 0, windowSeconds: 10, blockSeconds: 0 }, 100);
    assert.equal(await count(none, 'a', 999), 999);
    assert.equal(none.size, 0);
  });

  it('keeps a bounded number of keys; further ones share a bucket, those in the table keep theirs', async () => {
    const rate = new SourceRate({ count: 3, windowSeconds: 10, blockSeconds: 60 }, 4);
    for (let i = 0; i < 4; i++) assert.equal(await count(rate, `known${i}`, 1), 1);
    let accepted = 0;
    for (let i = 0; i < 1000; i++) accepted += await count(rate, `stranger${i}`, 1);
    assert.equal(rate.size, 4);
    assert.equal(accepted, 3 * 16);
    assert.equal(await count(rate, 'known0', 9), 2);
    pass(10_001);
    rate.sweep(now);
    assert.equal(await count(rate, 'stranger0', 1), 1, 'the shared bucket is not blocked for longer');
  });

  it('forgets windows that have ended', async () => {
    const rate = new SourceRate({ count: 3, windowSeconds: 10, blockSeconds: 60 }, 1000);
    for (let i = 0; i < 500; i++) await count(rate, `k${i}`, i === 499 ? 9 : 1);
    assert.equal(rate.size, 500);
    pass(10_001);
    rate.sweep(now);
    assert.equal(rate.size, 1, 'the blocked one stays');
    pass(60_000);
    rate.sweep(now);
    assert.equal(rate.size, 0);
  });
});
