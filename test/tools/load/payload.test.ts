import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { PacketFault, PacketShape, PAYLOAD_HEADER_BYTES, sequenceOf, timeOf } from '../../../src/tools/load/payload.ts';

const RUN = 0xfeed_beef;
const SIZES = fc.integer({ min: PAYLOAD_HEADER_BYTES, max: 300 });

function packet(shape: PacketShape, sequence = 7, timeMs = 12.5): Buffer {
  const bytes = Buffer.alloc(shape.bytes);
  shape.prepare(bytes, 0);
  shape.stamp(bytes, 0, sequence, timeMs);
  return bytes;
}

suite('payload', () => {
  test('what was stamped is read again, and nothing is wrong with it', () => {
    fc.assert(
      fc.property(
        SIZES,
        fc.nat(),
        fc.nat(),
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        (size, pair, sequence, timeMs) => {
          const shape = new PacketShape(size, RUN, pair);
          const bytes = packet(shape, sequence, timeMs);
          assert.equal(shape.check(bytes, 0, bytes.length), PacketFault.None);
          assert.deepEqual([sequenceOf(bytes, 0), timeOf(bytes, 0)], [sequence, timeMs]);
        },
      ),
    );
  });

  test('a packet with any other byte is corrupted', () => {
    fc.assert(
      fc.property(SIZES, fc.nat(), fc.integer({ min: 1, max: 255 }), (size, at, change) => {
        const shape = new PacketShape(size, RUN, 3);
        const bytes = packet(shape);
        bytes[at % size]! ^= change;
        assert.equal(shape.check(bytes, 0, bytes.length), PacketFault.Corrupted);
      }),
    );
  });

  test('a packet that is shorter or longer is corrupted', () => {
    const shape = new PacketShape(100, RUN, 3);
    const longer = Buffer.concat([packet(shape), Buffer.alloc(1)]);
    for (const bytes of [0, 1, 27, 28, 99, 101]) {
      assert.equal(shape.check(longer, 0, bytes), PacketFault.Corrupted, String(bytes));
    }
  });

  test('a whole packet of another pair or run is misrouted', () => {
    const shape = new PacketShape(100, RUN, 3);
    for (const other of [new PacketShape(100, RUN, 4), new PacketShape(64, RUN, 4), new PacketShape(100, 1, 3)]) {
      const bytes = packet(other);
      assert.equal(shape.check(bytes, 0, bytes.length), PacketFault.Misrouted);
    }
  });
});
