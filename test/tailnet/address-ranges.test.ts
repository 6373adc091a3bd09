import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatIp, parseIp } from '../../src/base/ip-address.ts';
import { AddressRanges } from '../../src/tailnet/address-ranges.ts';

const ipv4 = (last: number): string => `100.64.${last >> 8}.${last & 0xff}`;
const ipv6 = (last: number): string => `fd7a:115c:a1e0::${last.toString(16)}`;

describe('the source addresses of a filter rule', () => {
  it('are what the single entries are together', () => {
    const number = fc.nat(600);
    const entry = fc.record({ from: number, length: fc.nat(40), is6: fc.boolean() });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 40 }), number, fc.boolean(), (entries, wanted, is6) => {
        const name = (is: boolean): ((last: number) => string) => (is ? ipv6 : ipv4);
        const ranges = new AddressRanges(
          entries.map((one) => `${name(one.is6)(one.from)}-${name(one.is6)(one.from + one.length)}`),
        );
        const expected = entries.some(
          (one) => one.is6 === is6 && one.from <= wanted && wanted <= one.from + one.length,
        );
        assert.equal(ranges.has(parseIp(name(is6)(wanted))!), expected);
      }),
    );
  });

  it('are an address, a network or a range; anything else matches nothing', () => {
    const has = (entries: readonly string[], ip: string): boolean => new AddressRanges(entries).has(parseIp(ip)!);
    assert.ok(has(['100.64.0.0/10'], '100.127.255.255'));
    assert.ok(!has(['100.64.0.1/10'], '100.64.0.1'), 'host bits are set');
    assert.ok(has(['::/0'], formatIp(parseIp('fd7a::1')!)));
    assert.ok(!has(['::/0'], '100.64.0.1'));
    assert.ok(has(['bad', '*'], 'fd7a::1'));
    for (const bad of ['cap:x', '100.64.0.9-100.64.0.1', '1.2.3.4-::1', '1.2.3.4/33', '', '-', '/'])
      assert.ok(!has([bad], '100.64.0.5'), bad);
    assert.ok(has(['100.64.0.1-100.64.0.9', '100.64.0.2'], '100.64.0.5'));
  });
});
