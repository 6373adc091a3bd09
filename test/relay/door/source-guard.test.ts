import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Clock } from '../../../src/base/clock.ts';
import type { Admitted, MemoryLimit } from '../../../src/relay/door/door-guard.ts';
import { type GuardLimits, SourceGuard } from '../../../src/relay/door/source-guard.ts';
import { PrefixSet } from '../../../src/base/ip-prefix.ts';

const NEVER = { count: 0, windowSeconds: 60, blockSeconds: 60 };
const OPEN: GuardLimits = {
  connections: 0,
  connectionsPerSource: 0,
  handshakes: 0,
  handshakesPerSource: 0,
  handshakeMs: 10_000,
  newConnections: NEVER,
  failures: NEVER,
  refusals: NEVER,
  siteFactor: 4,
  trackedSources: 1000,
  exempt: new PrefixSet(['10.0.0.0/8']),
};
const PLENTY: MemoryLimit = { isFull: false, check: () => undefined };

/** A guard with its own clock, and its evictions. */
class Door {
  readonly clock = new Clock();
  readonly guard: SourceGuard;
  /** Address and reason of each connection that was closed for another one. */
  readonly evicted: string[] = [];

  constructor(limits: Partial<GuardLimits>, memory: MemoryLimit = PLENTY) {
    this.guard = new SourceGuard({ ...OPEN, ...limits }, this.clock, memory);
  }

  pass(ms: number): void {
    this.clock.tick(this.clock.now + ms);
  }

  /** Opens a connection from `ip`; returns the reason when it is refused. */
  admit(ip: string): Admitted | string {
    const answer = this.guard.admit(ip, { evicted: (reason) => this.evicted.push(`${ip} ${reason}`) });
    return 'reason' in answer ? answer.reason : answer;
  }

  /** Opens `times` connections from `ip`; returns how many are accepted. */
  admitted(ip: string, times: number): number {
    let count = 0;
    for (let i = 0; i < times; i++) if (typeof this.admit(ip) !== 'string') count++;
    return count;
  }

  /** Opens a connection of an admitted client from `ip`; returns the reason when it is refused. */
  session(ip: string): Admitted | string {
    const admitted = this.admit(ip);
    if (typeof admitted === 'string') return admitted;
    const refusal = admitted.established(false);
    if (refusal === null) return admitted;
    admitted.left();
    return refusal.reason;
  }

  sessions(ip: string, times: number): number {
    let count = 0;
    for (let i = 0; i < times; i++) if (typeof this.session(ip) !== 'string') count++;
    return count;
  }
}

describe('the guard at the door', () => {
  it('a newcomer takes the place of the oldest handshake of the source that holds most', () => {
    const door = new Door({ handshakes: 100 });
    assert.equal(door.admitted('192.0.2.1', 60) + door.admitted('192.0.2.2', 40), 100);
    for (let i = 1; i <= 20; i++) assert.notEqual(typeof door.admit(`198.51.100.${i}`), 'string');
    assert.deepEqual(new Set(door.evicted), new Set(['192.0.2.1 handshake_limit']));
    assert.equal(door.guard.underWay, 100);
  });

  it('one home network of many links keeps nobody out', () => {
    const door = new Door({ handshakes: 4096, handshakesPerSource: 1024, siteFactor: 8 });
    for (let link = 0; link < 256; link++) {
      for (let i = 0; i < 64; i++) door.admit(`2001:db8:0:1${link.toString(16).padStart(2, '0')}::${i + 1}`);
    }
    assert.ok(door.guard.underWay <= 1024, 'a site has a quarter of the places');
    for (let i = 1; i <= 50; i++) assert.notEqual(typeof door.admit(`198.51.100.${i}`), 'string');
    assert.notEqual(typeof door.admit('2001:db8:0:900::1'), 'string', 'a neighbour in the same /48');
  });

  it('thousands of sources that hold one each keep nobody out', () => {
    const door = new Door({ handshakes: 500 });
    for (let i = 0; i < 5000; i++) assert.notEqual(typeof door.admit(`203.0.${i >> 8}.${i & 255}`), 'string');
    assert.equal(door.guard.underWay, 500);
    assert.notEqual(typeof door.admit('192.0.2.1'), 'string');
  });

  it('a source that holds most is refused while it is busy, and then makes room for itself', () => {
    const door = new Door({ handshakes: 10 });
    assert.equal(door.admitted('10.0.0.1', 30), 10);
    assert.equal(door.admit('10.0.0.1'), 'handshake_limit');
    door.pass(1100);
    assert.equal(door.admitted('10.0.0.1', 3), 3);
    assert.equal(door.evicted.length, 3);
  });

  it('what has progressed counts as young', () => {
    const door = new Door({ handshakes: 3 });
    const first = door.admit('192.0.2.1') as Admitted;
    door.admit('192.0.2.1');
    door.pass(1100);
    first.progressed();
    door.admit('192.0.2.1');
    assert.deepEqual([door.guard.underWay, door.admitted('192.0.2.9', 1)], [3, 1]);
    first.left();
    assert.equal(door.guard.underWay, 2, 'it was not the one that made room');
  });

  it('bounds handshakes of a source by a bound of its own', () => {
    const door = new Door({ handshakesPerSource: 2 });
    assert.equal(door.admitted('192.0.2.1', 9), 2);
    assert.equal(door.admit('192.0.2.1'), 'source_limit');
    assert.equal(door.admitted('10.0.0.1', 99), 99, 'not where no limit by source applies');
  });

  it('gives handshakes less time the more there are', () => {
    const door = new Door({ handshakes: 100 });
    door.admitted('10.0.0.1', 50);
    door.pass(9000);
    assert.equal(door.guard.underWay, 50);
    for (let i = 0; i < 49; i++) door.admit(`192.0.2.${i}`);
    door.pass(100);
    assert.equal(door.guard.underWay, 49, 'those of 9 s are gone');
  });

  it('bounds sessions in all, and leaves places to newcomers', () => {
    const door = new Door({ connections: 160 });
    assert.equal(door.sessions('192.0.2.1', 200), 150);
    assert.equal(door.session('192.0.2.1'), 'connection_limit');
    assert.equal(door.evicted.length, 0);
    for (let i = 1; i <= 50; i++) assert.notEqual(typeof door.session(`198.51.100.${i}`), 'string');
    assert.deepEqual(new Set(door.evicted), new Set(['192.0.2.1 connection_limit']));
    assert.ok(door.guard.open <= 160);
  });

  it('strangers that are not admitted never end a session', () => {
    const door = new Door({ connections: 160 });
    assert.equal(door.sessions('192.0.2.1', 150), 150);
    for (let i = 0; i < 1000; i++) door.admit(`203.0.${i >> 8}.${i & 255}`);
    assert.ok(door.evicted.every((line) => line.startsWith('203.')));
    assert.ok(door.guard.open <= 161);
  });

  it('sources that share equally do not push each other out', () => {
    const door = new Door({ connections: 160 });
    for (let i = 0; i < 150; i++) assert.notEqual(typeof door.session(`192.0.2.${i}`), 'string');
    for (let i = 0; i < 20; i++) assert.equal(door.session(`198.51.100.${i}`), 'connection_limit');
    assert.deepEqual(door.evicted, []);
  });

  it('bounds sessions of a source, and gives a /48 a multiple, shared among its links', () => {
    const door = new Door({ connectionsPerSource: 2 });
    assert.equal(door.sessions('192.0.2.1', 9), 2);
    assert.equal(door.session('192.0.2.1'), 'source_limit');
    assert.equal(door.sessions('10.0.0.1', 9), 9);
    for (let i = 1; i <= 4; i++) assert.equal(door.sessions(`2001:db8:1:${i}::1`, 9), 2);
    assert.equal(door.sessions('2001:db8:1:9::1', 9), 1, 'one of a link that held two makes room for the first');
    assert.equal(door.evicted.length, 1);
    assert.equal(door.sessions('2001:db8:2:1::1', 9), 2);
    assert.equal(door.sessions('::ffff:192.0.2.1', 1), 0);
  });

  it('blocks a source after too many failures, and does not count its own refusals as such', () => {
    const door = new Door({ failures: { count: 3, windowSeconds: 60, blockSeconds: 60 } });
    for (const reason of ['source_limit', 'connection_limit', 'memory_limit', 'not_admitted'] as const) {
      for (let i = 0; i < 9; i++) door.guard.misbehaved('192.0.2.1', reason);
    }
    assert.notEqual(typeof door.admit('192.0.2.1'), 'string');
    for (const reason of ['tls_error', 'tls_timeout', 'handshake_timeout'] as const)
      door.guard.misbehaved('192.0.2.1', reason);
    for (let i = 0; i < 9; i++) door.guard.misbehaved('10.0.0.1', 'tls_error');
    assert.equal(door.admit('192.0.2.1'), 'source_limit');
    assert.notEqual(typeof door.admit('192.0.2.2'), 'string');
    assert.notEqual(typeof door.admit('10.0.0.1'), 'string');
  });

  it('counts clients that admission refused apart', () => {
    const door = new Door({ refusals: { count: 2, windowSeconds: 60, blockSeconds: 60 } });
    for (let i = 0; i < 2; i++) door.guard.misbehaved('2001:db8::1', 'not_admitted');
    assert.equal(door.admit('2001:db8::2'), 'source_limit');
  });

  it('bounds new connections by rate', () => {
    const door = new Door({ newConnections: { count: 4, windowSeconds: 10, blockSeconds: 0 } });
    assert.equal(door.admitted('192.0.2.1', 9), 4);
  });

  it('while too much memory is in use, only those come in for whom others go', () => {
    const memory = { isFull: false, check: () => undefined };
    const door = new Door({ connections: 160 }, memory);
    assert.equal(door.sessions('192.0.2.1', 5), 5);
    memory.isFull = true;
    assert.equal(door.session('192.0.2.1'), 'memory_limit');
    assert.notEqual(typeof door.session('192.0.2.2'), 'string');
    assert.deepEqual(door.evicted, ['192.0.2.1 memory_limit']);
    memory.isFull = false;
    assert.notEqual(typeof door.session('192.0.2.1'), 'string');
  });

  it('follows a lower limit of descriptors at once, by what can be ended without harm', () => {
    const door = new Door({ connections: 1000 });
    assert.equal(door.sessions('192.0.2.1', 20), 20);
    door.admitted('192.0.2.2', 100);
    door.guard.setConnectionLimit(50, true);
    assert.equal(door.guard.open, 50);
    assert.deepEqual(new Set(door.evicted), new Set(['192.0.2.2 descriptor_limit']));
    door.guard.setConnectionLimit(10, true);
    assert.equal(door.guard.open, 20, 'sessions stay');
    assert.equal(door.admit('192.0.2.1'), 'descriptor_limit');
  });

  it('counts a connection for whom a proxy names', () => {
    const door = new Door({ handshakesPerSource: 1 });
    const admitted = door.admit('10.0.0.1') as Admitted;
    assert.equal(admitted.movedTo('192.0.2.1'), null);
    assert.equal(door.admit('192.0.2.1'), 'source_limit');
    admitted.left();
    assert.notEqual(typeof door.admit('192.0.2.1'), 'string');
  });

  it('keeps nothing of those who left', () => {
    const door = new Door({ connectionsPerSource: 1, handshakesPerSource: 1 });
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 300; i++) {
        const admitted = door.session(`2001:db8:${i.toString(16)}::1`) as Admitted;
        admitted.left();
        admitted.left();
      }
    }
    assert.deepEqual([door.guard.underWay, door.guard.open], [0, 0]);
    door.guard.close();
  });
});
