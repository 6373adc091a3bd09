import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WakeList } from '../../src/base/wake-list.ts';

test('waiters wake once and not before their times, and a removed one sleeps on', async () => {
  const list = new WakeList();
  const woken: [string, number][] = [];
  const addedAt = performance.now();
  await new Promise<void>((resolve) => {
    const waiter = (name: string): { wake: (now: number) => void } => ({
      wake: (now) => {
        woken.push([name, now - addedAt]);
        if (name === 'last') resolve();
      },
    });
    const removed = waiter('removed');
    list.add(waiter('last'), 30);
    list.add(removed, 5);
    list.add(waiter('first'), 1);
    list.remove(removed);
    // The timer does not keep the process alive, so the test must.
    const hold = setTimeout(() => undefined, 5000);
    void Promise.resolve().then(() => hold.unref());
    const poll = setInterval(() => woken.some(([name]) => name === 'last') && clearInterval(poll), 5);
  });
  // On a busy machine, both may be due at the same moment.
  assert.deepEqual(woken.map(([name]) => name).sort(), ['first', 'last']);
  for (const [name, afterMs] of woken) assert.ok(afterMs >= (name === 'last' ? 30 : 1), `${name} after ${afterMs} ms`);
});

test('a waiter that is added again is woken once, at the later time', async () => {
  const list = new WakeList();
  let count = 0;
  const startedAt = performance.now();
  const hold = setInterval(() => undefined, 1000);
  const wokenAt = await new Promise<number>((resolve) => {
    const waiter = {
      wake: (now: number): void => {
        count++;
        resolve(now);
      },
    };
    list.add(waiter, 1);
    list.add(waiter, 20);
  });
  clearInterval(hold);
  assert.equal(count, 1);
  assert.ok(wokenAt - startedAt >= 19);
});
