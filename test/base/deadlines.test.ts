import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Deadlines } from '../../src/base/deadlines.ts';
import { eventually, quiet } from '../transport/support.ts';

function item(): { expired: () => void; times: number } {
  return {
    times: 0,
    expired() {
      this.times++;
    },
  };
}

describe('deadlines', () => {
  it('expire once, in their time; a forgotten one never', async () => {
    const deadlines = new Deadlines();
    const [soon, later, forgotten] = [item(), item(), item()];
    deadlines.add(soon, 20);
    deadlines.add(later, 60_000);
    deadlines.add(forgotten, 20);
    deadlines.delete(forgotten);
    await eventually(() => soon.times === 1, 'expired', 500);
    await quiet(120);
    assert.deepEqual([soon.times, later.times, forgotten.times], [1, 0, 0]);
    deadlines.delete(later);
  });

  it('adding again moves the deadline', async () => {
    const deadlines = new Deadlines();
    const moved = item();
    deadlines.add(moved, 20);
    deadlines.add(moved, 60_000);
    await quiet(120);
    assert.equal(moved.times, 0);
    deadlines.delete(moved);
  });
});
