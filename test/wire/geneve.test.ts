import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import {
  GeneveProtocol,
  geneveVni,
  isGeneve,
  isGeneveControl,
  MAX_VNI,
  writeGeneveHeader,
} from '../../src/wire/geneve.ts';

const header = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const vni = fc.integer({ min: 1, max: MAX_VNI });
const protocol = fc.constantFrom(GeneveProtocol.Disco, GeneveProtocol.WireGuard);

suite('Geneve headers (peer relay §4)', () => {
  test('are those of the reference', () => {
    const written = (protocolOf: GeneveProtocol, isControl: boolean): Buffer => {
      const out = Buffer.alloc(8, 0xff);
      writeGeneveHeader(out, 0, 1, protocolOf, isControl);
      return out;
    };
    assert.deepEqual(written(GeneveProtocol.Disco, true), header('00 80 7a 11 00 00 01 00'));
    assert.deepEqual(written(GeneveProtocol.Disco, false), header('00 00 7a 11 00 00 01 00'));
    assert.deepEqual(written(GeneveProtocol.WireGuard, false), header('00 00 7a 12 00 00 01 00'));
  });

  test('are read as they were written, wherever they stand', () => {
    fc.assert(
      fc.property(vni, protocol, fc.boolean(), fc.nat(9), (number, protocolOf, isControl, at) => {
        fc.pre(!isControl || protocolOf === GeneveProtocol.Disco);
        const out = Buffer.alloc(at + 8, 0xff);
        writeGeneveHeader(out, at, number, protocolOf, isControl);
        assert.ok(isGeneve(out, at, at + 8));
        assert.equal(isGeneve(out, at, at + 7), false);
        assert.equal(geneveVni(out, at), number);
        assert.equal(isGeneveControl(out, at), isControl);
      }),
    );
  });

  test('with any other bit set are none, and no bytes make them throw', () => {
    const data = header('00 00 7a 12 12 34 56 00');
    for (let bit = 0; bit < 64; bit++) {
      const changed = Buffer.from(data);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      const isVni = bit >= 32 && bit < 56;
      assert.equal(isGeneve(changed, 0, 8), isVni, `bit ${bit}`);
    }
    assert.equal(isGeneve(header('00 80 7a 12 00 00 01 00'), 0, 8), false, 'control is disco');
    fc.assert(fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => void isGeneve(bytes, 0, bytes.length)));
  });

  test('a STUN message is none', () => {
    assert.equal(isGeneve(header('00 01 00 14 21 12 a4 42 00 00 00 00 00 00 00 00 00 00 00 00'), 0, 20), false);
  });
});
