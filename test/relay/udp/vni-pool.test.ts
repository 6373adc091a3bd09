import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { MAX_ENDPOINTS, VniPool } from '../../../src/relay/udp/vni-pool.ts';
import { MAX_VNI } from '../../../src/wire/geneve.ts';

const zero = (): number => 0;
const last = (): number => 0xff;

suite('VNIs', () => {
  test('are found while they are in use, and only then, whatever is taken, released and taken back', () => {
    const steps = fc.array(fc.record({ what: fc.constantFrom('take', 'release', 'takeBack'), pick: fc.nat(1000) }));
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 9 }), fc.nat(), (list, slots, seed) => {
        const pool = new VniPool(slots, () => seed);
        const inUse = new Map<number, number>();
        const gone = new Set<number>();
        for (const { what, pick } of list) {
          if (what === 'take') {
            const slot = pool.take();
            assert.equal(slot === -1, inUse.size === slots);
            if (slot === -1) continue;
            const vni = pool.vniOf(slot);
            assert.ok(vni >= 1 && vni <= MAX_VNI && !inUse.has(vni));
            inUse.set(vni, slot);
            gone.delete(vni);
          } else if (what === 'release') {
            const [vni, slot] = [...inUse][pick % Math.max(inUse.size, 1)] ?? [];
            if (vni === undefined) continue;
            pool.release(slot!);
            inUse.delete(vni);
            gone.add(vni);
          } else {
            const vni = [...gone][pick % Math.max(gone.size, 1)];
            if (vni === undefined) continue;
            const slot = pool.takeBack(vni);
            const isTaken = [...inUse.values()].includes(vni & (MAX_ENDPOINTS - 1));
            assert.equal(slot, isTaken ? -1 : vni & (MAX_ENDPOINTS - 1));
            if (isTaken) continue;
            gone.delete(vni);
            inUse.set(vni, slot);
          }
          assert.equal(pool.used, inUse.size);
          for (const [vni, slot] of inUse) assert.equal(pool.slotOf(vni), slot);
          for (const vni of gone) assert.equal(pool.slotOf(vni), -1);
        }
      }),
    );
  });

  test('are never 0', () => {
    for (const random of [zero, last]) {
      const pool = new VniPool(1, random);
      for (let i = 0; i < 600; i++) {
        const slot = pool.take();
        assert.notEqual(pool.vniOf(slot), 0);
        pool.release(slot);
      }
      assert.equal(pool.slotOf(0), -1);
    }
  });

  test('come back only after all others of their slot', () => {
    const pool = new VniPool(2, zero);
    const seen = new Set<number>();
    for (let i = 0; i < 510; i++) {
      const slot = pool.take();
      assert.equal(seen.has(pool.vniOf(slot)), false);
      seen.add(pool.vniOf(slot));
      pool.release(slot);
    }
  });

  test('that no slot has are not taken back', () => {
    const pool = new VniPool(4, zero);
    for (const vni of [0, -1, MAX_VNI + 1, 4, 0x01_00_04]) assert.equal(pool.takeBack(vni), -1);
    assert.equal(pool.takeBack(0x05_00_03), 3);
    assert.equal(pool.takeBack(0x06_00_03), -1);
    assert.equal(pool.slotOf(0x05_00_03), 3);
    assert.equal(pool.used, 1);
  });
});
