import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { suite, test } from 'node:test';
import { Clock, CLOCK_TICK_MS, SLOW_TICK_MS } from '../../src/base/clock.ts';
import { onInternalError } from '../../src/base/errors.ts';
import { WakeList } from '../../src/base/wake-list.ts';
import { LoopTurn } from '../../src/relay/session/loop-turn.ts';
import { Deadlines } from '../../src/base/deadlines.ts';
import { within } from '../service/support.ts';

function broken(): never {
  throw new Error('a bug');
}

/** Runs `calls` and records bugs; resolves with the kinds of the calls that threw. */
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

/** Returns the times between the next `count` ticks of `clock`, in milliseconds. */
async function gapsOf(clock: Clock, count: number): Promise<number[]> {
  const times = [clock.now];
  await within(
    new Promise<void>((resolve) => {
      const leave = clock.onTick((now) => {
        times.push(now);
        if (times.length <= count) return;
        leave();
        resolve();
      }, Infinity);
    }),
    'the ticks',
  );
  return times.slice(1).map((time, i) => time - times[i]!);
}

suite('the clock', () => {
  test('ticks as often as its listeners want', async () => {
    const clock = new Clock();
    clock.start();
    try {
      const [slow] = await gapsOf(clock, 1);
      assert.ok(slow! > SLOW_TICK_MS - CLOCK_TICK_MS, `${slow} ms`);
      let fast = 0;
      const leave = clock.onTick(() => fast++);
      await gapsOf(clock, 3);
      leave();
      assert.ok(fast >= 3);
    } finally {
      clock.stop();
    }
  });

  test('ticks at a time that is asked for, but not more often than it should', async () => {
    const clock = new Clock();
    clock.start();
    try {
      const asked = clock.now + 3 * CLOCK_TICK_MS;
      clock.tickBy(asked);
      const [first] = await gapsOf(clock, 1);
      // A timer of Node may come up to a millisecond early.
      assert.ok(first! >= 2 * CLOCK_TICK_MS && clock.now > asked - 1, `${first} ms`);
      const from = clock.now;
      clock.tickBy(0);
      await gapsOf(clock, 1);
      assert.ok(clock.now - from >= CLOCK_TICK_MS / 2);
    } finally {
      clock.stop();
    }
  });

  test('says how late a tick came', () => {
    const clock = new Clock();
    clock.tick(1000);
    clock.tick(1000 + CLOCK_TICK_MS - 5);
    assert.equal(clock.lateMs, 0);
    const from = clock.now;
    clock.tick(from + CLOCK_TICK_MS + 500);
    assert.equal(clock.lateMs, 500);
  });

  test('goes on while it runs and stands still while it does not', async () => {
    const clock = new Clock();
    clock.tick(5000);
    assert.equal(clock.now, 5000);
    clock.start();
    const [gap] = await gapsOf(clock, 1);
    assert.ok(gap! > 0);
    clock.stop();
    const stopped = clock.now;
    await new Promise(setImmediate);
    assert.equal(clock.now, stopped);
  });
});

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
