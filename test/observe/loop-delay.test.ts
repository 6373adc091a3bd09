import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LoopDelay } from '../../src/observe/loop-delay.ts';

function read(delay: LoopDelay): Record<string, number> {
  return Object.fromEntries(
    delay.metrics().map(({ name, read: values }) => [name.split('_')[3]!, [...values()][0]![1]]),
  );
}

describe('the delay of the event loop', () => {
  it('is what a tick comes late, in seconds, and begins anew after each scrape', () => {
    const delay = new LoopDelay();
    delay.tick(0);
    for (let i = 0; i < 98; i++) delay.tick(1);
    delay.tick(500);
    const { mean, p50, p99, max } = read(delay);
    assert.ok(Math.abs(p50! - 0.001) < 1e-5, `p50 ${p50}`);
    assert.ok(p99! < max! + 1e-9 && Math.abs(max! - 0.5) < 0.001, `p99 ${p99}, max ${max}`);
    assert.ok(Math.abs(mean! - (98 * 0.001 + 0.5) / 100) < 1e-4, `mean ${mean}`);
    assert.deepEqual(read(delay), { mean: 0, p50: 0, p99: 0, max: 0 });
  });
});
