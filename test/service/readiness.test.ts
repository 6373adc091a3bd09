import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { pino } from 'pino';
import { Health } from '../../src/observe/health.ts';
import { Readiness } from '../../src/service/readiness.ts';
import { within } from './support.ts';

/** Starts a relay whose self-test fails with the value of `problem`. */
function setUp(t: TestContext, options: { selfTest?: null } = {}) {
  const health = new Health();
  const said: string[] = [];
  const waiting = new Set<() => void>();
  const log = pino(
    { base: null },
    {
      write: (line: string) => {
        const { msg } = JSON.parse(line) as { msg: string };
        said.push(msg);
        assert.equal(msg === 'ready', health.ready, 'the log says what /readyz says');
        for (const look of waiting) look();
      },
    },
  );
  const test = { problem: '', count: 0 };
  const selfTest = (): Promise<object> => {
    test.count++;
    return test.problem === '' ? Promise.resolve({ stun: '1 ms' }) : Promise.reject(new Error(test.problem));
  };
  const readiness = new Readiness({ health, log, selfTest, retryMs: 1, ...options });
  t.after(() => readiness.stop());
  const says = (lines: readonly string[]): Promise<void> =>
    within(
      new Promise<void>((resolve) => {
        const look = (): void => {
          if (said.length >= lines.length) resolve();
        };
        waiting.add(look);
        look();
      }),
      lines.join(', '),
    ).then(() => assert.deepEqual(said, lines));
  return { health, said, says, test, readiness };
}

describe('readiness', () => {
  it('is there after the self-test, and not before', async (t) => {
    const { health, says, readiness } = setUp(t);
    assert.equal(health.ready, false);
    await readiness.begin();
    assert.equal(health.ready, true);
    await says(['ready']);
  });

  it('comes without a self-test as well', async (t) => {
    const { health, says, readiness } = setUp(t, { selfTest: null });
    assert.equal(health.ready, false);
    await readiness.begin();
    assert.equal(health.ready, true);
    await says(['ready']);
  });

  it('comes when a later self-test passes; the same failure is said once', async (t) => {
    const { health, says, test, readiness } = setUp(t);
    test.problem = 'not within 5 s: STUN answers';
    await readiness.begin();
    assert.deepEqual(health.problems(), [{ name: 'self-test', problem: test.problem }]);
    while (test.count < 4) await new Promise((resolve) => setTimeout(resolve, 1));
    await says(['not ready']);
    test.problem = '';
    await says(['not ready', 'ready']);
    assert.equal(health.ready, true);
  });

  it('is tested at once when another problem has gone', async (t) => {
    const { health, says, test, readiness } = setUp(t);
    health.set('certificate-validity', 'expired');
    test.problem = 'STUN is silent';
    await readiness.begin();
    while (test.count < 10) await new Promise((resolve) => setTimeout(resolve, 1));
    const { count } = test;
    test.problem = '';
    health.set('certificate-validity', null);
    assert.equal(test.count, count + 1);
    await says(['not ready', 'ready']);
  });

  it('ends with the relay', async (t) => {
    const { health, says, readiness, test } = setUp(t);
    await readiness.begin();
    health.set('shutdown', 'the relay is stopping');
    health.set('listener', 'closed');
    health.set('listener', null);
    await readiness.begin();
    assert.equal(test.count, 1);
    await says(['ready']);
  });

  it('is not said while anything else is wrong, and goes and comes with it', async (t) => {
    const { health, says, readiness } = setUp(t);
    health.set('admission', 'no source can tell who may come in');
    await readiness.begin();
    await says(['not ready yet']);
    health.set('admission', null);
    await says(['not ready yet', 'ready']);
    health.set('listener', 'connections cannot be accepted: EMFILE 1');
    health.set('listener', 'connections cannot be accepted: EMFILE 2');
    await says(['not ready yet', 'ready', 'not ready']);
    health.set('listener', null);
    await says(['not ready yet', 'ready', 'not ready', 'ready']);
  });
});
