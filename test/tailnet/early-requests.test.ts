import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { EarlyRequests } from '../../src/tailnet/early-requests.ts';

function nodeKey(): { key: Buffer; words: Int32Array; isProved: boolean } {
  const key = randomBytes(32);
  return { key, words: new Int32Array(8), isProved: true };
}

describe('requests that come before the network map', () => {
  it('are bounded: the oldest makes room, one of each node, none that is long', () => {
    const early = new EarlyRequests();
    const packet = Buffer.alloc(600, 1);
    const senders = Array.from({ length: 1000 }, nodeKey);
    for (const sender of senders) {
      for (let i = 0; i < 3; i++) early.keep(sender, nodeKey(), packet, 0, 148, i);
      early.keep(sender, nodeKey(), packet, 0, 513, 9);
    }
    const kept = early.take(() => true, 10);
    assert.equal(kept.length, 64);
    assert.deepEqual(
      kept.map(({ source }) => source.key),
      senders.slice(-64).map(({ key }) => key),
    );
    assert.ok(kept.every(({ packet: { length }, at }) => length === 148 && at === 2));
    assert.deepEqual(
      early.take(() => true, 10),
      [],
    );
  });
});
