import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  canonicalIp,
  formatHostPort,
  formatIp,
  ipFamily,
  parseIp,
  parseListenAddress,
} from '../../src/base/ip-address.ts';

describe('parseIp', () => {
  const good: [string, string][] = [
    ['192.0.2.1', 'c0000201'],
    ['0.0.0.0', '00000000'],
    ['255.255.255.255', 'ffffffff'],
    ['::ffff:192.0.2.1', 'c0000201'],
    ['::FFFF:c000:201', 'c0000201'],
    ['::', '00'.repeat(16)],
    ['::1', `${'00'.repeat(15)}01`],
    ['2001:db8::1', '20010db8000000000000000000000001'],
    ['fe80::1%eth0', 'fe800000000000000000000000000001'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
    ['::2:3:4:5:6:7:8', '00000002000300040005000600070008'],
    ['64:ff9b::192.0.2.33', '0064ff9b0000000000000000c0000221'],
    ['1:2:3:4:5:6:1.2.3.4', '00010002000300040005000601020304'],
  ];
  for (const [text, hex] of good) it(text, () => assert.equal(parseIp(text)?.toString('hex'), hex));

  const bad = [
    '',
    'localhost',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '01.2.3.4',
    '1.2.3.1000',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    'g::',
    '1:',
    ':1',
    '1.2.3.4::',
    '::1.2.3.4:5',
    '::1.2.3',
    '::1.2.3.999',
    '1.2.3.4:5::',
  ];
  for (const text of bad) it(`refuses "${text}"`, () => assert.equal(parseIp(text), null));

  it('agrees with Node about what is an address', () => {
    const odd = fc.string({ unit: fc.constantFrom('0', '1', 'f', ':', ':', '.', 'a', '25', '::'), maxLength: 14 });
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), odd), (text) => {
        assert.equal(parseIp(text) !== null, isIP(text) !== 0, text);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('formatIp', () => {
  const canonical = [
    '0.0.0.0',
    '192.0.2.1',
    '::',
    '::1',
    '1::',
    '2001:db8::1',
    '1:0:0:2::3',
    '1::2:0:0:3',
    '1:0:2:3:4:5:6:7',
  ];
  for (const text of canonical) it(text, () => assert.equal(formatIp(parseIp(text)!), text));

  it('comes back, and is what URLs make of it (RFC 5952)', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.array(fc.nat(7)), (bytes, zeros) => {
        const ip = Buffer.from(bytes);
        for (const group of zeros) ip.writeUInt16BE(0, group * 2);
        const text = formatIp(ip);
        assert.equal(`[${text}]`, new URL(`http://[${text}]/`).hostname);
        const back = parseIp(text)!;
        assert.deepEqual(back.length === 4 ? Buffer.concat([ip.subarray(0, 12), back]) : back, ip);
      }),
    );
  });
});

describe('other forms', () => {
  it('canonicalIp', () => {
    assert.equal(canonicalIp('::ffff:1.2.3.4'), '1.2.3.4');
    assert.equal(canonicalIp('FE80:0:0:0::1%en0'), 'fe80::1');
    assert.equal(canonicalIp('1.2.3.4'), '1.2.3.4');
    assert.equal(canonicalIp('not:an:ip'), 'not:an:ip');
  });

  it('ipFamily', () => {
    assert.deepEqual(['1.2.3.4', '::1', '::ffff:1.2.3.4', 'x'].map(ipFamily), [4, 6, 4, 0]);
  });

  it('parseListenAddress', () => {
    assert.deepEqual(parseListenAddress('1.2.3.4:443'), { ip: '1.2.3.4', port: 443 });
    assert.deepEqual(parseListenAddress('[::1]:443'), { ip: '::1', port: 443 });
    assert.deepEqual(parseListenAddress('[2001:DB8::0]:0'), { ip: '2001:db8::', port: 0 });
    for (const text of ['443', ':443', '*:443', ' :443 ']) {
      assert.deepEqual(parseListenAddress(text), { ip: '::', port: 443 });
    }
    for (const text of ['', 'x', '1.2.3.4', '1.2.3.4:65536', '::1:443', 'host:443', '[x]:443', '1.2.3.4:-1', '[]:1']) {
      assert.equal(parseListenAddress(text), null, text);
    }
  });

  it('formatHostPort', () => {
    assert.equal(formatHostPort('::1', 443), '[::1]:443');
    assert.equal(formatHostPort('derp.example.com', 443), 'derp.example.com:443');
  });
});
