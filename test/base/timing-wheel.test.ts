import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { onInternalError } from '../../src/base/errors.ts';
import { Timed, TimingWheel } from '../../src/base/timing-wheel.ts';

const TICK_MS = 100;

class Alarm extends Timed {
  readonly calls: number[] = [];
  onReached: () => void = () => undefined;

  reached(now: number): void {
    assert.equal(this.dueAt, Infinity);
    this.calls.push(now);
    this.onReached();
  }
}

suite('timing wheel', () => {
  test('behaves like a list of times that is searched at each tick', () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ schedule: fc.nat({ max: 9 }), inMs: fc.integer({ min: -500, max: 5000 }) }) },
      {
        weight: 1,
        arbitrary: fc.record({ schedule: fc.nat({ max: 9 }), inMs: fc.constantFrom(102_400, 250_000, Infinity) }),
      },
      { weight: 1, arbitrary: fc.record({ cancel: fc.nat({ max: 9 }) }) },
      { weight: 3, arbitrary: fc.record({ passMs: fc.integer({ min: 0, max: 700 }) }) },
      { weight: 1, arbitrary: fc.record({ passMs: fc.constantFrom(-300, 99_000, 102_400, 300_000) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), fc.nat({ max: 100_000 }), (steps, startMs) => {
        let now = startMs;
        const wheel = new TimingWheel(TICK_MS, now);
        const alarms = Array.from({ length: 10 }, () => new Alarm());
        const model = new Map<Alarm, number>();
        const expected = new Map<Alarm, number[]>(alarms.map((alarm) => [alarm, []]));
        for (const one of steps) {
          if ('schedule' in one) {
            const alarm = alarms[one.schedule]!;
            wheel.schedule(alarm, now + one.inMs);
            if (one.inMs === Infinity) model.delete(alarm);
            else model.set(alarm, now + one.inMs);
          } else if ('cancel' in one) {
            wheel.cancel(alarms[one.cancel]!);
            model.delete(alarms[one.cancel]!);
          } else {
            now += one.passMs;
            wheel.advance(now);
            for (const [alarm, at] of model) {
              if (at > now) continue;
              expected.get(alarm)!.push(now);
              model.delete(alarm);
            }
          }
          const limit = now + 1000;
          const next = Math.min(...model.values());
          assert.equal(wheel.nextDue(limit), next < limit ? next : Infinity);
          assert.equal(wheel.size, model.size);
          for (const alarm of alarms) assert.equal(alarm.dueAt, model.get(alarm) ?? Infinity);
        }
        for (const alarm of alarms) assert.deepEqual(alarm.calls, expected.get(alarm));
      }),
      { numRuns: 300 },
    );
  });

  test('a call may schedule itself, cancel others and throw, and the rest are called all the same', () => {
    const bugs: unknown[] = [];
    const stop = onInternalError((_where, error) => bugs.push(error));
    try {
      const wheel = new TimingWheel(TICK_MS, 0);
      const [again, throws, cancelled, last] = [new Alarm(), new Alarm(), new Alarm(), new Alarm()];
      again.onReached = () => {
        wheel.schedule(again, 500);
        wheel.cancel(cancelled);
      };
      throws.onReached = () => {
        throw new Error('a bug');
      };
      for (const alarm of [again, throws, cancelled, last]) wheel.schedule(alarm, 110);
      wheel.advance(500);
      assert.deepEqual(
        [throws, cancelled, last].map(({ calls }) => calls),
        [[500], [], [500]],
      );
      assert.equal(bugs.length, 1);
      wheel.advance(510);
      assert.ok(again.calls.length >= 2 && again.calls.length <= 3, again.calls.join(' '));
    } finally {
      stop();
    }
  });

  test('one that is due in the middle of a tick is called by the first advance after it', () => {
    const wheel = new TimingWheel(TICK_MS, 0);
    const alarm = new Alarm();
    wheel.schedule(alarm, 150);
    for (const now of [100, 149, 151]) wheel.advance(now);
    assert.deepEqual(alarm.calls, [151]);
  });
});
