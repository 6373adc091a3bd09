import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { suite, test } from 'node:test';
import { Clock } from '../../src/base/clock.ts';
import { onInternalError } from '../../src/base/errors.ts';
import { WakeList } from '../../src/base/wake-list.ts';
import { LoopTurn } from '../../src/relay/session/loop-turn.ts';
import { Deadlines } from '../../src/base/deadlines.ts';
import { within } from '../service/support.ts';

function broken(): never {
  throw new Error('a bug');
}

/** Runs `calls` while bugs are listened to; resolves with the kinds of the calls that threw. */
async function bugsOf(calls: (done: () => void) => void): Promise<string[]> {
  const kinds: string[] = [];
  const stop = onInternalError((where) => kinds.push(where));
  try {
    await within(new Promise<void>((resolve) => calls(resolve)), 'the call after the one that throws');
  } finally {
    stop();
  }
  return kinds;
}

suite('a call that throws does not keep the others from their turn', () => {
  test('at a tick of the clock', async () => {
    const kinds = await bugsOf((done) => {
      const clock = new Clock();
      clock.onTick(broken);
      clock.onTick(done);
      clock.tick();
      clock.tick();
    });
    assert.deepEqual(kinds, ['clock', 'clock']);
  });

  test('at a deadline', async () => {
    const kinds = await bugsOf((done) => {
      const deadlines = new Deadlines();
      deadlines.add({ expired: broken }, 1);
      deadlines.add({ expired: done }, 1);
    });
    assert.deepEqual(kinds, ['deadline']);
  });

  test('at a wake-up', async () => {
    const kinds = await bugsOf((done) => {
      const wakes = new WakeList();
      wakes.add({ wake: broken }, 1);
      wakes.add({ wake: done }, 1);
    });
    assert.deepEqual(kinds, ['rate limit']);
  });

  test('at the end of a turn', async () => {
    const kinds = await bugsOf((done) => {
      const turn = new LoopTurn();
      turn.flushAtEnd({ flush: broken });
      turn.resumeAtEnd({ resumeReading: broken });
      turn.resumeAtEnd({
        resumeReading: () => {
          done();
          return 0;
        },
      });
    });
    assert.deepEqual(kinds, ['flush', 'read']);
  });

  test('without a listener it ends the process', () => {
    const errors = path.resolve(import.meta.dirname, '../../src/base/errors.ts');
    const program = `import { internalError } from ${JSON.stringify(errors)}; internalError('test', new Error('a bug'));`;
    const { status, stderr } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8' });
    assert.match(stderr, /a bug/);
    assert.notEqual(status, 0);
  });
});
