import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Peer } from '../../../src/relay/routing/peer.ts';
import { PeerTable } from '../../../src/relay/routing/peer-table.ts';

/** Keys with the same first byte have the same hash, to test probing and backward shifting. */
class CrowdedTable extends PeerTable {
  protected override hash(first: number): number {
    return first & 0xff;
  }
}

const key = fc.array(fc.nat({ max: 3 }), { minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));

test('the peer table behaves like a map under any sequence of additions and removals', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), key), { maxLength: 400 }), (moves) => {
      const table = new CrowdedTable();
      const model = new Map<string, Peer>();
      for (const [adds, bytes] of moves) {
        const name = bytes.toString('hex');
        const known = model.get(name);
        if (adds && known === undefined) {
          const peer = new Peer(bytes);
          table.add(peer);
          model.set(name, peer);
        } else if (!adds && known !== undefined) {
          table.remove(known);
          model.delete(name);
        }
      }
      assert.equal(table.size, model.size);
      assert.equal([...table].length, model.size);
      for (const [, bytes] of moves) assert.equal(table.find(bytes, 0), model.get(bytes.toString('hex')) ?? null);
    }),
    { numRuns: 200 },
  );
});

test('the table grows beyond its first size and finds every key at any offset of a frame', () => {
  const table = new PeerTable();
  const peers = Array.from({ length: 3000 }, (_, i) => {
    const bytes = Buffer.alloc(32, i & 0xff);
    bytes.writeUInt32LE(i, 4);
    return new Peer(bytes);
  });
  for (const peer of peers) table.add(peer);
  for (const peer of peers) assert.equal(table.find(Buffer.concat([Buffer.alloc(5), peer.key]), 5), peer);
  for (const peer of peers.slice(0, 1500)) table.remove(peer);
  assert.equal(table.size, 1500);
  for (const peer of peers.slice(1500)) assert.equal(table.find(peer.key, 0), peer);
  for (const peer of peers.slice(0, 1500)) assert.equal(table.find(peer.key, 0), null);
});

test('removing a peer that is not in the table changes nothing', () => {
  const table = new PeerTable();
  table.add(new Peer(Buffer.alloc(32, 1)));
  table.remove(new Peer(Buffer.alloc(32, 1)));
  table.remove(new Peer(Buffer.alloc(32, 2)));
  assert.equal(table.size, 1);
});
