import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { pino } from 'pino';
import { Clock } from '../../src/base/clock.ts';
import { Health } from '../../src/observe/health.ts';
import { Descriptors, ProcessDescriptors } from '../../src/service/descriptors.ts';
import { ResidentMemory } from '../../src/base/resident-memory.ts';

/** A process with `used` descriptors, `open` of which are connections. */
class FakeProcess {
  limitNow: number | null = 1000;
  used = 0;
  open = 0;
  bound = 0;
  isForDescriptors = false;
  readonly health = new Health();
  readonly lines: string[] = [];
  readonly clock = new Clock();
  readonly descriptors: Descriptors;

  constructor(connections: number, limit: number | null, others: number) {
    this.limitNow = limit;
    this.used = others;
    this.descriptors = new Descriptors({
      table: {
        limit: () => this.limitNow,
        inUse: () => this.used + this.open,
        take: () => {
          if (this.used + this.open >= (this.limitNow ?? Infinity)) throw new Error('EMFILE: too many open files');
          this.used++;
          return 0;
        },
        give: () => this.used--,
        close: () => undefined,
      },
      connections,
      bounded: this,
      clock: this.clock,
      log: pino({}, { write: (line) => this.lines.push(line) }),
      health: this.health,
    });
  }

  setConnectionLimit(bound: number, isForDescriptors: boolean): void {
    this.bound = bound;
    this.isForDescriptors = isForDescriptors;
  }

  second(): void {
    for (let i = 0; i < 10; i++) this.clock.tick(this.clock.now + 100);
  }
}

suite('descriptors', () => {
  test('a limit that is high enough bounds nothing and is not spoken of', () => {
    for (const limit of [30_000, Infinity, null]) {
      const relay = new FakeProcess(20_000, limit, 30);
      relay.open = 20_000;
      relay.second();
      assert.equal(relay.bound, 20_000);
      assert.deepEqual([relay.isForDescriptors, relay.health.ready, relay.lines], [false, true, []]);
    }
  });

  test('connections are bounded below the limit, with a reserve, and that is said once', () => {
    for (const limit of [90, 100, 256, 1024, 4096]) {
      const relay = new FakeProcess(20_000, limit, 30);
      for (let i = 0; i < 5; i++) relay.second();
      assert.ok(relay.bound >= 10 && relay.bound <= limit - 30 - 20, `${limit}: ${relay.bound}`);
      assert.equal(relay.lines.length, 1);
      assert.match(relay.lines[0]!, new RegExp(`"openFiles":${limit}.*"limits.connections":20000`));
    }
  });

  test('what else takes descriptors makes room for fewer connections', () => {
    const relay = new FakeProcess(20_000, 1024, 30);
    const before = relay.bound;
    relay.used += 100;
    relay.second();
    assert.equal(relay.bound, before - 100);
    relay.used -= 100;
    relay.second();
    assert.equal(relay.bound, before);
  });

  test('a limit that changes while the process runs is followed', () => {
    const relay = new FakeProcess(2000, 1024, 30);
    relay.limitNow = 10_000;
    relay.second();
    assert.deepEqual([relay.bound, relay.isForDescriptors], [2000, false]);
    relay.limitNow = 512;
    relay.second();
    assert.ok(relay.bound < 512 && relay.isForDescriptors);
    assert.equal(relay.lines.length, 3);
  });

  test('the relay is not ready while the bound is reached, and is again when some have left', () => {
    const relay = new FakeProcess(20_000, 1024, 30);
    relay.open = relay.bound;
    relay.second();
    assert.match(relay.health.problems()[0]?.problem ?? '', /as the limit of open files allows/);
    relay.open--;
    relay.second();
    assert.equal(relay.health.ready, false, 'one that left is no news');
    relay.open -= 100;
    relay.second();
    assert.equal(relay.health.ready, true);
  });

  test('when none are left the spare ones are given up one by one, and taken again afterwards', () => {
    const relay = new FakeProcess(20_000, 1024, 30);
    relay.open = 500;
    const taken = relay.used;
    relay.used = 524;
    relay.clock.tick(relay.clock.now + 100);
    assert.match(relay.health.problems()[0]?.problem ?? '', /no file descriptors are left/);
    assert.equal(relay.used, 523, 'an accept finds one');
    assert.ok(relay.bound < 500 && relay.isForDescriptors);
    relay.open -= 50;
    relay.second();
    assert.equal(relay.used, 524, 'the spare one is back');
    relay.used = taken;
    relay.open = 0;
    relay.second();
    assert.equal(relay.health.ready, true);
  });

  test('of this process are counted', { skip: process.platform !== 'linux' }, () => {
    const table = new ProcessDescriptors();
    const memory = new ResidentMemory();
    const limit = table.limit();
    const before = table.inUse();
    assert.ok(limit !== null && limit > 0 && before !== null && before > 0);
    table.give(table.take());
    assert.ok(memory.bytes > 1_000_000);
    memory.close();
    table.close();
    assert.equal(table.limit(), null);
  });
});
