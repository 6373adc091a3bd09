import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GatheredBytes } from '../../src/wire/gathered-bytes.ts';

describe('gathered bytes', () => {
  it('are all pieces, however they came', () => {
    const piece = fc.tuple(fc.boolean(), fc.uint8Array({ maxLength: 700 }));
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const gathered = new GatheredBytes();
        for (const [isOwned, bytes] of pieces) {
          const copy = Buffer.from(bytes);
          if (isOwned) gathered.addOwned(copy);
          else {
            gathered.add(Buffer.concat([Buffer.of(1), copy, Buffer.of(2)]), 1, 1 + copy.length);
            copy.fill(0);
          }
        }
        const expected = Buffer.concat(pieces.map(([, bytes]) => bytes));
        assert.deepEqual(gathered.bytes, expected);
        assert.equal(gathered.length, expected.length);
      }),
    );
  });

  it('stay as they were seen when more comes', () => {
    const gathered = new GatheredBytes();
    gathered.addOwned(Buffer.from('ab'));
    const seen = gathered.bytes;
    gathered.add(Buffer.from('cd'));
    assert.equal(seen.toString(), 'ab');
    assert.equal(gathered.bytes.toString(), 'abcd');
  });
});
