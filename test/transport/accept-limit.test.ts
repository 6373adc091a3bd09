import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AcceptLimit } from '../../src/transport/bun/accept-limit.ts';

const QUEUED = 1024;

function refused(turn: AcceptLimit, connections: number): number {
  let count = 0;
  for (let i = 0; i < connections; i++) if (turn.isReached()) count++;
  return count;
}

describe('a turn that only accepts', () => {
  it('accepts what waited when it began, however slow it is', () => {
    let now = 0;
    const turn = new AcceptLimit(() => (now += 50));
    assert.equal(refused(turn, QUEUED), 0);
  });

  it('accepts any number while it is quick', () => {
    const turn = new AcceptLimit(() => 0);
    assert.equal(refused(turn, 20 * QUEUED), 0);
  });

  it('refuses the others when it takes long, and the next one starts anew', async () => {
    let now = 0;
    const turn = new AcceptLimit(() => now);
    assert.equal(refused(turn, QUEUED), 0);
    now = 1000;
    assert.equal(refused(turn, 500), 500);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(refused(turn, QUEUED), 0);
  });
});
