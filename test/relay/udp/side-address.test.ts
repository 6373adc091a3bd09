import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { ADDRESS_WORDS } from '../../../src/relay/udp/port.ts';
import { formatAddress, ipBytesOf, portOf, sameAddress, writeAddress } from '../../../src/relay/udp/side-address.ts';
import { formatHostPort, formatIp, parseIp } from '../../../src/base/ip-address.ts';

const ip = fc
  .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .map((bytes) => formatIp(Buffer.from(bytes)))
  .filter((text) => !text.startsWith('::ffff:'));
const port = fc.integer({ min: 0, max: 65_535 });

suite('addresses of sides', () => {
  test('hold any address, as the kernel lays it out', () => {
    const words = new Int32Array(3 * ADDRESS_WORDS).fill(-1);
    fc.assert(
      fc.property(ip, port, (text, number) => {
        assert.ok(writeAddress(words, ADDRESS_WORDS, text, number));
        assert.equal(portOf(words, ADDRESS_WORDS), number);
        assert.deepEqual(ipBytesOf(words, ADDRESS_WORDS), parseIp(text));
        assert.equal(formatAddress(words, ADDRESS_WORDS), formatHostPort(text, number));
        const bytes = Buffer.from(words.buffer, ADDRESS_WORDS * 4, ADDRESS_WORDS * 4);
        assert.equal(bytes.readUInt16BE(2), number);
      }),
    );
    assert.deepEqual([words[ADDRESS_WORDS - 1], words[2 * ADDRESS_WORDS]], [-1, -1], 'nothing is written beside it');
  });

  test('are the same only when family, address and port are', () => {
    const words = new Int32Array(2 * ADDRESS_WORDS);
    fc.assert(
      fc.property(ip, port, ip, port, (ipA, portA, ipB, portB) => {
        writeAddress(words, 0, ipA, portA);
        writeAddress(words, ADDRESS_WORDS, ipB, portB);
        assert.equal(sameAddress(words, 0, words, ADDRESS_WORDS), ipA === ipB && portA === portB);
        assert.ok(sameAddress(words, 0, words, 0));
      }),
    );
  });

  test('what is no address leaves the words alone', () => {
    const words = new Int32Array(ADDRESS_WORDS).fill(5);
    assert.equal(writeAddress(words, 0, 'relay.example.com', 1), false);
    assert.ok(words.every((word) => word === 5));
    assert.equal(formatAddress(new Int32Array(ADDRESS_WORDS), 0), '');
  });
});
