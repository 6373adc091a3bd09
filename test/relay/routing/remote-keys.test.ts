import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { Delivery, type Forwarder } from '../../../src/relay/routing/recipient.ts';
import { Added, RemoteKeys, Removed } from '../../../src/relay/routing/remote-keys.ts';

class Side implements Forwarder {
  isUp = true;

  deliver(): Delivery {
    return Delivery.Taken;
  }

  whenTaking(): void {}
}

/** Keys with the same first 4 bytes have the same hash, and are in one probe sequence. */
class CrowdedKeys extends RemoteKeys {
  protected override hash(first: number): number {
    return first;
  }
}

/** Returns key `n`. Eight keys each have the same first 4 bytes. */
function key(n: number): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt32LE(n >> 3, 0);
  bytes.writeUInt32LE(n, 28);
  return bytes;
}

suite('keys that are connected elsewhere', () => {
  test('§9.50 the first added is used; without it the second; removing one that is not there changes nothing', () => {
    const table = new RemoteKeys();
    const [first, second] = [new Side(), new Side()];
    const [one, two] = [table.open(first), table.open(second)];
    assert.equal(table.add(key(1), 0, one), Added.First);
    assert.equal(table.add(key(1), 0, two), Added.Another);
    assert.equal(table.add(key(1), 0, one), Added.Nothing, 'it is there already');
    assert.equal(table.find(key(1), 0), first);
    assert.equal(table.remove(key(1), 0, one), Removed.One);
    assert.equal(table.remove(key(1), 0, one), Removed.Nothing);
    assert.equal(table.find(key(1), 0), second);
    assert.equal(table.remove(key(1), 0, two), Removed.Last);
    assert.deepEqual([table.find(key(1), 0), table.has(key(1)), table.size], [null, false, 0]);
  });

  test('one that is down is passed over while another is up', () => {
    const table = new RemoteKeys();
    const [first, second] = [new Side(), new Side()];
    for (const side of [first, second]) table.add(key(1), 0, table.open(side));
    first.isUp = false;
    assert.equal(table.find(key(1), 0), second);
    second.isUp = false;
    assert.equal(table.find(key(1), 0), first, 'the oldest when all are down');
  });

  test('who is told of a key on a new connection leads there; others that are not told of it again do not any more', () => {
    const table = new RemoteKeys();
    const [first, second] = [new Side(), new Side()];
    const [one, two] = [table.open(first), table.open(second)];
    for (const n of [1, 2]) table.add(key(n), 0, one);
    table.age(one);
    assert.deepEqual([one.currentKeys, one.oldKeys], [0, 2]);
    assert.equal(table.add(key(1), 0, two), Added.Another);
    assert.equal(table.find(key(1), 0), second, 'it has moved');
    assert.equal(table.add(key(2), 0, one), Added.Renewed);
    assert.deepEqual([one.currentKeys, one.oldKeys, two.currentKeys], [1, 0, 1]);
  });

  test('the number of a forwarder that is closed is given again', () => {
    const table = new RemoteKeys();
    const [one, two] = [table.open(new Side()), table.open(new Side())];
    table.close(one);
    assert.equal(table.open(new Side()).number, one.number);
    assert.notEqual(two.number, one.number);
  });

  test('thousands of keys: each is found, and each that was removed is not', () => {
    const COUNT = 5000;
    const table = new CrowdedKeys();
    const side = new Side();
    const way = table.open(side);
    for (let n = 0; n < COUNT; n++) table.add(key(n), 0, way);
    for (let n = 0; n < COUNT; n++) if (n % 3 !== 0) assert.equal(table.remove(key(n), 0, way), Removed.Last);
    for (let n = 0; n < COUNT; n++) assert.equal(table.find(key(n), 0), n % 3 === 0 ? side : null);
    table.age(way);
    const found = Buffer.alloc(32);
    let left = Math.ceil(COUNT / 3);
    for (let at = 0; (at = table.nextOld(way, at, found)) >= 0; left--) table.remove(found, 0, way);
    assert.deepEqual([left, table.size, way.keys], [0, 0, 0]);
  });

  test('random changes: it is what a list per key would be, over growth and shared hashes', () => {
    const KEYS = 150;
    const WAYS = 3;
    const change = fc.record({
      key: fc.nat(KEYS - 1),
      way: fc.nat(WAYS - 1),
      what: fc.constantFrom('add', 'add', 'add', 'add', 'add', 'remove', 'remove', 'age', 'forget', 'up'),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 400, size: 'max' }), (changes) => {
        const table = new CrowdedKeys();
        const sides = Array.from({ length: WAYS }, () => new Side());
        const ways = sides.map((side) => table.open(side));
        // By key: its forwarders, the oldest first, and whether each is old.
        const model = Array.from({ length: KEYS }, () => [] as { way: number; old: boolean }[]);
        for (const { key: n, way, what } of changes) {
          const entries = model[n]!;
          const own = entries.find((entry) => entry.way === way);
          if (what === 'add') {
            const expected = own?.old
              ? Added.Renewed
              : own
                ? Added.Nothing
                : entries.length > 0
                  ? Added.Another
                  : Added.First;
            assert.equal(table.add(Buffer.concat([Buffer.alloc(3), key(n)]), 3, ways[way]!), expected);
            if (own === undefined) entries.push({ way, old: false });
            else own.old = false;
            model[n] = entries.filter((entry) => entry.way === way || !entry.old);
          } else if (what === 'remove') {
            const expected = own === undefined ? Removed.Nothing : entries.length > 1 ? Removed.One : Removed.Last;
            assert.equal(table.remove(key(n), 0, ways[way]!), expected);
            model[n] = entries.filter((entry) => entry !== own);
          } else if (what === 'age') {
            table.age(ways[way]!);
            for (const entry of model.flat()) entry.old ||= entry.way === way;
          } else if (what === 'forget') {
            const found = Buffer.alloc(32);
            for (
              let slot = table.nextOld(ways[way]!, 0, found);
              slot >= 0;
              slot = table.nextOld(ways[way]!, 0, found)
            ) {
              const at = found.readUInt32LE(28);
              assert.ok(model[at]!.some((entry) => entry.way === way && entry.old));
              table.remove(found, 0, ways[way]!);
              model[at] = model[at]!.filter((entry) => entry.way !== way);
            }
            assert.ok(!model.flat().some((entry) => entry.way === way && entry.old));
          } else {
            sides[way]!.isUp = !sides[way]!.isUp;
          }
        }
        for (const [n, entries] of model.entries()) {
          const used = entries.find((entry) => sides[entry.way]!.isUp) ?? entries[0];
          assert.equal(table.find(key(n), 0), used === undefined ? null : sides[used.way]);
          assert.equal(table.has(key(n)), used !== undefined);
          for (const [i, way] of ways.entries())
            assert.equal(
              table.leads(key(n), 0, way),
              entries.some((entry) => entry.way === i),
            );
        }
        assert.equal(table.size, model.flat().length);
        for (const [i, way] of ways.entries()) {
          const own = model.flat().filter((entry) => entry.way === i);
          assert.deepEqual([way.keys, way.oldKeys], [own.length, own.filter(({ old }) => old).length]);
        }
      }),
    );
  });
});
