import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Clock } from '../../src/clock.ts';
import { type GuardLimits, SourceGuard } from '../../src/net/door-guard.ts';
import { PrefixSet } from '../../src/wire/ip-prefix.ts';

const NEVER = { count: 0, windowSeconds: 60, blockSeconds: 60 };
const OPEN: GuardLimits = {
  connections: 0,
  connectionsPerSource: 0,
  handshakes: 0,
  handshakesPerSource: 0,
  memoryBytes: 0,
  newConnections: NEVER,
  failures: NEVER,
  refusals: NEVER,
  siteFactor: 4,
  trackedSources: 1000,
  exempt: new PrefixSet(['10.0.0.0/8']),
};

function guardWith(limits: Partial<GuardLimits>, clock = new Clock(), memory = (): number => 0): SourceGuard {
  return new SourceGuard({ ...OPEN, ...limits }, clock, memory);
}

function admitted(guard: SourceGuard, ip: string, times: number): number {
  let count = 0;
  for (let i = 0; i < times; i++) if (guard.admit(ip) === null) count++;
  return count;
}

const settled = (): Promise<void> => Promise.resolve().then(() => undefined);

describe('the guard at the door', () => {
  it('bounds open connections of the server and of a source, exempt ones by the server only', () => {
    const guard = guardWith({ connections: 20, connectionsPerSource: 3 });
    assert.equal(admitted(guard, '192.0.2.1', 9), 3);
    assert.equal(guard.admit('192.0.2.1')?.reason, 'source_limit');
    assert.equal(admitted(guard, '192.0.2.2', 2), 2);
    assert.equal(admitted(guard, '10.0.0.1', 99), 15);
    assert.equal(guard.admit('192.0.2.3')?.reason, 'connection_limit');
    guard.settled('192.0.2.1');
    guard.left('192.0.2.1');
    assert.equal(admitted(guard, '192.0.2.1', 9), 1);
  });

  it('bounds handshakes under way of the server and of a source', () => {
    const guard = guardWith({ handshakes: 5, handshakesPerSource: 2 });
    assert.equal(admitted(guard, '192.0.2.1', 9), 2);
    guard.settled('192.0.2.1');
    assert.equal(admitted(guard, '192.0.2.1', 9), 1);
    assert.equal(admitted(guard, '10.0.0.1', 9), 3);
    assert.equal(guard.admit('192.0.2.9')?.reason, 'handshake_limit');
    assert.equal(guard.underWay, 5);
  });

  it('takes a /64 for one source, and gives a /48 a multiple', () => {
    const guard = guardWith({ connectionsPerSource: 2 });
    assert.equal(admitted(guard, '2001:db8:1:1::1', 1) + admitted(guard, '2001:db8:1:1:ffff::2', 9), 2);
    let site = 2;
    for (let i = 2; i < 20; i++) site += admitted(guard, `2001:db8:1:${i}::1`, 9);
    assert.equal(site, 8);
    assert.equal(admitted(guard, '2001:db8:2:1::1', 9), 2);
    assert.equal(admitted(guard, '::ffff:192.0.2.1', 1) + admitted(guard, '192.0.2.1', 9), 2);
  });

  it('blocks a source after too many failures, and does not count its own refusals as such', async () => {
    const guard = guardWith({ failures: { count: 3, windowSeconds: 60, blockSeconds: 60 } });
    for (const reason of ['source_limit', 'connection_limit', 'memory_limit', 'not_admitted'] as const) {
      for (let i = 0; i < 9; i++) guard.misbehaved('192.0.2.1', reason);
    }
    await settled();
    assert.equal(guard.admit('192.0.2.1'), null);
    for (const reason of ['tls_error', 'tls_timeout', 'handshake_timeout'] as const)
      guard.misbehaved('192.0.2.1', reason);
    for (let i = 0; i < 9; i++) guard.misbehaved('10.0.0.1', 'tls_error');
    await settled();
    assert.deepEqual(guard.admit('192.0.2.1'), {
      reason: 'source_limit',
      detail: 'too many failed handshakes from this source',
    });
    assert.equal(guard.admit('192.0.2.2'), null);
    assert.equal(guard.admit('10.0.0.1'), null);
  });

  it('counts clients that admission refused apart', async () => {
    const guard = guardWith({ refusals: { count: 2, windowSeconds: 60, blockSeconds: 60 } });
    for (let i = 0; i < 2; i++) guard.misbehaved('2001:db8::1', 'not_admitted');
    await settled();
    assert.match(guard.admit('2001:db8::2')?.detail ?? '', /refused clients/);
  });

  it('bounds new connections by rate', async () => {
    const guard = guardWith({ newConnections: { count: 4, windowSeconds: 10, blockSeconds: 0 } });
    let count = 0;
    for (let i = 0; i < 9; i++) {
      count += admitted(guard, '192.0.2.1', 1);
      await settled();
    }
    assert.equal(count, 4);
  });

  it('refuses everybody while too much memory is in use, looking once a second', () => {
    const clock = new Clock();
    let bytes = 100;
    const guard = guardWith({ memoryBytes: 1000 }, clock, () => bytes);
    const second = (): void => clock.tick(clock.now + 1000);
    second();
    assert.equal(guard.admit('10.0.0.1'), null);
    bytes = 1001;
    second();
    assert.equal(guard.admit('10.0.0.1')?.reason, 'memory_limit');
    bytes = 999;
    second();
    assert.equal(guard.admit('10.0.0.1'), null);
  });

  it('keeps nothing of those who left', () => {
    const guard = guardWith({ connectionsPerSource: 1, handshakesPerSource: 1 });
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 300; i++) {
        const ip = `2001:db8:${i.toString(16)}::1`;
        assert.equal(guard.admit(ip), null);
        guard.settled(ip);
        guard.left(ip);
      }
    }
    assert.equal(guard.underWay, 0);
    guard.close();
  });
});
