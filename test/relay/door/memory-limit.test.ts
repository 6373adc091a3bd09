import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CountedMemory } from '../../../src/relay/door/memory-limit.ts';
import { Health } from '../../../src/observe/health.ts';

const MEGABYTE = 1_000_000;

/** A process of 100 MB whose connections cost 40 kB each, with a limit of 300 MB. */
class Process {
  resident = 100 * MEGABYTE;
  queued = 0;
  readonly health = new Health();
  readonly memory: CountedMemory;

  constructor(limitBytes = 300 * MEGABYTE) {
    this.memory = new CountedMemory({
      limitBytes,
      connectionBytes: 40_000,
      queuedBytes: () => this.queued,
      residentBytes: () => this.resident,
      judged: (problem) => this.health.set('memory', problem),
    });
    this.memory.check(0, 0);
  }

  isFull(connections: number, residentMegabytes: number): boolean {
    this.resident = residentMegabytes * MEGABYTE;
    this.memory.check(connections >> 1, connections - (connections >> 1));
    assert.equal(
      this.health.problems().some(({ name }) => name === 'memory'),
      this.memory.isFull,
    );
    return this.memory.isFull;
  }
}

describe('memory, judged by what is counted', () => {
  it('is full when connections need more than there may be', () => {
    const relay = new Process();
    assert.equal(relay.isFull(4000, 260), false);
    assert.equal(relay.isFull(5100, 310), true);
  });

  it('is not full any more when the load is gone, although the process keeps its memory', () => {
    const relay = new Process();
    assert.equal(relay.isFull(5500, 331), true);
    assert.equal(relay.isFull(1, 331), false);
    assert.equal(relay.isFull(2000, 331), false);
  });

  it('is full when the process has more than it may and connections explain most of it', () => {
    const relay = new Process();
    assert.equal(relay.isFull(4000, 310), true);
    assert.equal(relay.isFull(3200, 310), true, 'some that left are no room yet');
    assert.equal(relay.isFull(2500, 310), false);
  });

  it('does not change its mind at each connection', () => {
    const relay = new Process();
    assert.equal(relay.isFull(5001, 301), true);
    assert.equal(relay.isFull(4999, 300), true);
    assert.equal(relay.isFull(4000, 300), false);
    assert.equal(relay.isFull(4999, 300), false);
  });

  it('counts what waits in queues', () => {
    const relay = new Process();
    relay.queued = 201 * MEGABYTE;
    assert.equal(relay.isFull(0, 301), true);
    relay.queued = 0;
    assert.equal(relay.isFull(0, 301), false);
  });

  it('without a limit it is never full', () => {
    assert.equal(new Process(0).isFull(1_000_000, 100_000), false);
  });
});
