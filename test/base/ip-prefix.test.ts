import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { canonicalPrefix, PrefixSet, sourcePath } from '../../src/base/ip-prefix.ts';

describe('networks', () => {
  const texts: [string, string | null][] = [
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['10.1.2.3', '10.1.2.3/32'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['192.0.2.129/25', '192.0.2.128/25'],
    ['2001:db8:1:2:3::/64', '2001:db8:1:2::/64'],
    ['::1', '::1/128'],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8'],
    ['::ffff:10.0.0.0/8', null],
    ['10.0.0.0/33', null],
    ['10.0.0.0/', null],
    ['10.0.0.0/-1', null],
    ['fe80::1%eth0/64', null],
    ['example.com/8', null],
    ['', null],
  ];
  for (const [text, canonical] of texts) {
    it(JSON.stringify(text), () => assert.equal(canonicalPrefix(text), canonical));
  }

  it('hold the addresses with the same leading bits and no others', () => {
    const set = new PrefixSet(['10.0.0.0/8', '192.0.2.128/25', '2001:db8::/33', 'nonsense']);
    for (const ip of ['10.255.0.1', '::ffff:10.0.0.1', '192.0.2.255', '2001:db8:7fff::1']) assert.ok(set.has(ip), ip);
    for (const ip of ['11.0.0.1', '192.0.2.127', '2001:db8:8000::1', '::1', 'x', '']) assert.ok(!set.has(ip), ip);
    assert.ok(new PrefixSet(['::/0']).has('2001:db8::1'));
    assert.ok(!new PrefixSet(['::/0']).has('192.0.2.1'));
  });

  it('agree with arithmetic on numbers', () => {
    const number = (ip: string): number => ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV4(), fc.nat(32), (network, ip, bits) => {
        const size = 2 ** (32 - bits);
        const same = Math.floor(number(network) / size) === Math.floor(number(ip) / size);
        assert.equal(new PrefixSet([canonicalPrefix(`${network}/${bits}`)!]).has(ip), same);
      }),
    );
  });
});

describe('the source that a connection counts for', () => {
  it('is an IPv4 address, or an IPv6 /48, /56 and /64', () => {
    assert.deepEqual(sourcePath('192.0.2.1'), ['192.0.2.1']);
    assert.deepEqual(sourcePath('::ffff:192.0.2.1'), ['192.0.2.1']);
    assert.deepEqual(sourcePath('2001:db8:1:203::1'), ['20010db80001/48', '20010db8000102/56', '20010db800010203/64']);
    assert.deepEqual(sourcePath('2001:db8:1:203:ffff::2'), sourcePath('2001:db8:1:203::1'));
    assert.deepEqual(sourcePath('no:address'), ['']);
  });
});
