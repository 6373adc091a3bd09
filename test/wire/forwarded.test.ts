import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { forwardedClient } from '../../src/wire/forwarded.ts';

const trusted = (ip: string): boolean => ip.startsWith('10.');

describe('X-Forwarded-For', () => {
  const values: [string, string | null][] = [
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1, 10.0.0.1', '192.0.2.1'],
    // Only the entry of the proxy counts. The proxy forwards the entries of the client without reading them.
    ['1.1.1.1, 192.0.2.1', '192.0.2.1'],
    ['1.1.1.1,192.0.2.1 , 10.0.0.1,10.0.0.2', '192.0.2.1'],
    ['10.0.0.3', '10.0.0.3'],
    ['unknown, 10.0.0.3', '10.0.0.3'],
    ['192.0.2.1:4711', '192.0.2.1'],
    ['[2001:DB8::1]:4711', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['fe80::1%eth0', null],
    ['unknown', null],
    ['', null],
    [',192.0.2.1', '192.0.2.1'],
    [',', null],
    ['[192.0.2.1', null],
    ['[2001:db8::1]:', null],
    ['[2001:db8::1]x', null],
    ['192.0.2.1:', null],
    ['192.0.2.1:123456', null],
    ['192.0.2.1:1:1', null],
    ['\t192.0.2.1 \t', '192.0.2.1'],
  ];
  for (const [value, client] of values) {
    it(JSON.stringify(value), () => assert.equal(forwardedClient('x-forwarded-for', value, trusted), client));
  }

  it('looks at a bounded number of hops', () => {
    const value = `192.0.2.1, ${Array.from({ length: 100 }, () => '10.0.0.1').join(', ')}`;
    assert.equal(forwardedClient('x-forwarded-for', value, trusted), '10.0.0.1');
  });
});

describe('Forwarded', () => {
  const values: [string, string | null][] = [
    ['for=192.0.2.1', '192.0.2.1'],
    ['For="[2001:db8::1]:4711";proto=https', '2001:db8::1'],
    ['proto=https; for=192.0.2.1;by=10.0.0.1, for=10.0.0.2', '192.0.2.1'],
    ['for=1.1.1.1, for=192.0.2.1', '192.0.2.1'],
    ['for=_hidden, for=10.0.0.2', '10.0.0.2'],
    ['proto=https', null],
    ['before=192.0.2.1', null],
    ['for = "192.0.2.1:80" ; proto=https;', '192.0.2.1'],
    ['for="\\1\\9\\2.0.2.1"', '192.0.2.1'],
    // Text of the request that a proxy repeats in quotes is not another hop.
    ['for=192.0.2.1;host="a,for=1.1.1.1"', '192.0.2.1'],
    ['for=192.0.2.1;host="a\\",for=1.1.1.1"', '192.0.2.1'],
    ['for=192.0.2.1;host="a\\\\"', '192.0.2.1'],
    // A quote that the client did not close ends before the entry of the proxy.
    ['for="1.1.1.1, for=192.0.2.1', '192.0.2.1'],
    ['for=192.0.2.1, for=10.0.0.2;host="a', null],
    ['for=192.0.2.1;for=1.1.1.1', null],
    ['for', null],
    ['for=', null],
    ['=192.0.2.1', null],
    ['for=192.0.2.1 x', null],
    [';;for=192.0.2.1', '192.0.2.1'],
    [',,', null],
    ['', null],
  ];
  for (const [value, client] of values) {
    it(JSON.stringify(value), () => assert.equal(forwardedClient('forwarded', value, trusted), client));
  }
});
