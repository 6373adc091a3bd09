import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { giveBuffer, takeBuffer } from '../../../src/relay/session/buffer-pool.ts';

const KIB = 1024;

suite('buffers of outboxes', () => {
  test('hold what was asked for, and waste at most as much again', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1024 * KIB }), (bytes) => {
        const buffer = takeBuffer(bytes);
        assert.ok(buffer.bytes.length >= bytes);
        assert.ok(buffer.bytes.length <= Math.max(2 * bytes, 4 * KIB));
        giveBuffer(buffer);
      }),
    );
  });

  test('are used again for the same size', () => {
    for (const bytes of [1, 4 * KIB, 256 * KIB, 319 * KIB, 320 * KIB, 512 * KIB]) {
      const buffer = takeBuffer(bytes);
      giveBuffer(buffer);
      assert.equal(takeBuffer(bytes), buffer, `${bytes} bytes`);
      giveBuffer(buffer);
    }
  });

  test('a full queue of the usual limit takes 320 KiB', () => {
    assert.equal(takeBuffer(262_144 + 63 * KIB).bytes.length, 320 * KIB);
  });
});
