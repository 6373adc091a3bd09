import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PlaceKind, SharedPlaces } from '../../../src/relay/door/shared-places.ts';
import { type Place, SourceTable } from '../../../src/relay/door/source-table.ts';

const NAMES = ['192.0.2.1', '192.0.2.2', '2001:db8::/48', '2001:db8:0:1::/64'];

test('the tables of several threads know together what each source holds in all of them', () => {
  const step = fc.record({ thread: fc.nat(2), name: fc.nat(3), leaves: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const memory = SharedPlaces.createMemory(3);
      const tables = [0, 1, 2].map((thread) => {
        const places = new SharedPlaces(memory, thread);
        return { places, table: new SourceTable<number>(places.table(PlaceKind.Session)) };
      });
      const held = tables.map(() => [] as { name: string; place: Place<number> }[]);
      for (const [at, { thread, name, leaves }] of steps.entries()) {
        const mine = held[thread]!;
        const { table } = tables[thread]!;
        if (leaves) {
          const left = mine.shift();
          if (left !== undefined) table.remove(left.place);
        } else {
          mine.push({ name: NAMES[name]!, place: table.add([NAMES[name]!], at, at) });
        }
      }
      const all = held.flat();
      for (const { table } of tables) {
        assert.equal(table.sizeOfAll, all.length);
        for (const name of NAMES) assert.equal(table.heldByAll(name), all.filter((one) => one.name === name).length);
      }
      tables[1]!.places.clear();
      assert.equal(tables[0]!.table.sizeOfAll, held[0]!.length + held[2]!.length);
      const other = new SourceTable<number>(tables[2]!.places.table(PlaceKind.Handshake));
      assert.equal(other.sizeOfAll, 0, 'kinds are apart');
    }),
    { numRuns: 50 },
  );
});

test('among many sources, few count for more than they hold, and none for less', () => {
  const memory = SharedPlaces.createMemory(2, 7);
  const other = new SourceTable<null>(new SharedPlaces(memory, 1).table(PlaceKind.Handshake));
  const mine = new SourceTable<null>(new SharedPlaces(memory, 0).table(PlaceKind.Handshake));
  const names = Array.from({ length: 3000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
  for (const name of names) other.add([name], null, 0);
  const counts = names.map((name) => mine.heldByAll(name));
  assert.ok(counts.every((count) => count >= 1));
  assert.ok(counts.filter((count) => count > 1).length < 200);
});
