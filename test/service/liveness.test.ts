import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Clock } from '../../src/base/clock.ts';
import { Health } from '../../src/observe/health.ts';
import { Liveness } from '../../src/service/liveness.ts';

const START = Date.parse('2026-01-01T00:00:00Z');
const DAY_MS = 86_400_000;

function setUp(): {
  clock: Clock;
  health: Health;
  liveness: Liveness;
  silent: () => string | null;
  wall: { now: number };
  run: (turns: number, turnMs?: number) => void;
} {
  const clock = new Clock();
  const health = new Health();
  const wall = { now: START };
  const changes: (string | null)[] = [null];
  let reason: string | null = null;
  const liveness = new Liveness({
    clock,
    health,
    stun: { setSilent: (next) => (reason = next) },
    certificate: () => ({ notBefore: new Date(START - DAY_MS), notAfter: new Date(START + DAY_MS) }),
    changed: (next) => changes.push(next),
    now: () => wall.now,
  });
  return {
    clock,
    health,
    liveness,
    wall,
    silent: () => {
      assert.equal(changes.at(-1), reason);
      return reason;
    },
    run: (turns, turnMs = 100) => {
      for (let i = 0; i < turns; i++) clock.tick(clock.now + turnMs);
    },
  };
}

describe('a relay that cannot serve must not look alive', () => {
  it('certificate expired, and replaced', () => {
    const { health, wall, silent, run } = setUp();
    run(20);
    assert.ok(health.ready);
    wall.now = START + DAY_MS + 1;
    run(20);
    assert.match(silent() ?? '', /expired at 2026-01-02T00:00:00/);
    assert.deepEqual(health.problems()[0]?.name, 'certificate-validity');
    wall.now = START;
    run(20);
    assert.equal(silent(), null);
    assert.ok(health.ready);
  });

  it('certificate of the future: the clock of the machine is told', () => {
    const { wall, silent, liveness } = setUp();
    wall.now = START - 2 * DAY_MS;
    liveness.check();
    const said = silent() ?? '';
    assert.match(said, /not valid before 2025-12-31.*clock says 2025-12-30/);
    wall.now += 1000;
    liveness.check();
    assert.equal(silent(), said, 'it does not become news by itself');
  });

  it('listener in trouble at once, until it was well for a while', () => {
    const { health, liveness, silent, run } = setUp();
    run(10);
    liveness.listenerError(new Error('accept EMFILE'));
    assert.match(silent() ?? '', /cannot be accepted: accept EMFILE/);
    run(50);
    liveness.listenerError(new Error('accept EMFILE'));
    run(90);
    assert.ok(!health.ready);
    run(20);
    assert.equal(silent(), null);
  });

  it('event loop behind for a while, and not for one long turn', () => {
    const { silent, run } = setUp();
    run(100);
    run(1, 2000);
    run(20);
    run(1, 3_600_000);
    run(20);
    assert.equal(silent(), null, 'two long turns are no reason');
    run(30, 1100);
    assert.match(silent() ?? '', /event loop is behind/);
    run(50);
    assert.notEqual(silent(), null, 'it does not flap');
    run(200);
    assert.equal(silent(), null);
  });

  it('turns of a third of a second are slow and no reason', () => {
    const { silent, run } = setUp();
    run(300, 400);
    assert.equal(silent(), null);
  });
});
