import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judgeGrowth, median, type Reading, theilSen } from './soak-slope.ts';

const BOUND = { absolute: 16, fraction: 0.1, warmUpSeconds: 0 };

/** A value every ten seconds of `seconds`. */
function readings(seconds: number, value: (at: number) => number): Reading[] {
  return Array.from({ length: seconds / 10 }, (_, i) => [i * 10, value(i * 10)] as const);
}

describe('slope of a soak', () => {
  it('takes the middle', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
    assert.ok(Number.isNaN(median([])));
  });

  it('finds the slope of a line, of many readings too, and none in nothing', () => {
    assert.equal(theilSen(readings(100, (at) => 5 + 2 * at)), 2);
    assert.ok(Math.abs(theilSen(readings(86_400, (at) => 5 + 2 * at)) - 2) < 1e-9);
    assert.equal(theilSen([]), 0);
    assert.equal(theilSen([[1, 1]]), 0);
  });

  it('is not moved by a fifth of the readings that are far off', () => {
    const slope = theilSen(readings(1000, (at) => (at % 50 === 0 ? 1e6 : 100)));
    assert.equal(slope, 0);
  });

  it('does not take a saw-tooth for growth', () => {
    const saw = readings(5400, (at) => 100 + ((at * 7) % 300) / 10);
    assert.ok(judgeGrowth(saw, 5400, BOUND).isBounded);
  });

  it('finds a leak under a saw-tooth', () => {
    const leak = readings(5400, (at) => 100 + ((at * 7) % 300) / 10 + (at / 5400) * 30);
    const growth = judgeGrowth(leak, 5400, BOUND);
    assert.ok(!growth.isBounded, `${growth.overRun} over the run`);
    assert.ok(Math.abs(growth.overRun - 30) < 3);
  });

  it('does not look at the warm-up, and allows a part of a large value', () => {
    const warm = readings(1000, (at) => (at < 100 ? at : 100));
    assert.equal(judgeGrowth(warm, 1000, BOUND).overRun, 0);
    const large = readings(1000, (at) => 1000 + at * 0.05);
    assert.ok(judgeGrowth(large, 1000, BOUND).isBounded);
    assert.equal(judgeGrowth(large, 1000, { ...BOUND, fraction: 0.01 }).isBounded, false);
  });
});
