import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalIp } from '../../src/base/ip-address.ts';
import { readSockaddr, SOCKADDR_BYTES, writeSockaddr } from '../../src/system/sockaddr.ts';

const AT = 4;

test('an address and its port are read as they were written', () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6().map(canonicalIp));
  fc.assert(
    fc.property(address, fc.integer({ min: 0, max: 65_535 }), (ip, port) => {
      const bytes = Buffer.alloc(AT + SOCKADDR_BYTES, 0xff);
      assert.equal(writeSockaddr(bytes, AT, ip, port), ip.includes(':') ? SOCKADDR_BYTES : 16);
      assert.deepEqual(readSockaddr(bytes, AT), { ip, port });
    }),
  );
});

test('nothing is written when the text is not an address or the number is not a port', () => {
  const bytes = Buffer.alloc(SOCKADDR_BYTES);
  for (const ip of ['', 'localhost', '192.0.2.256']) assert.equal(writeSockaddr(bytes, 0, ip, 1), 0, ip);
  for (const port of [-1, 65_536, Number.NaN]) assert.equal(writeSockaddr(bytes, 0, '::1', port), 0, `port ${port}`);
  assert.deepEqual(bytes, Buffer.alloc(SOCKADDR_BYTES));
});
