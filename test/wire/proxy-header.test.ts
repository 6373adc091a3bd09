import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeProxyHeader, parseProxyHeader, type ProxyHeader } from '../../src/wire/proxy-header.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';

function parse(bytes: Buffer | string): ProxyHeader {
  const buffer = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
  // Somewhere in a larger buffer, as reads are.
  const larger = Buffer.concat([Buffer.from('PROXY '), buffer, Buffer.from('\r\n\r\n')]);
  return parseProxyHeader(larger, 6, 6 + buffer.length);
}

function hex(text: string): Buffer {
  return Buffer.from(SIGNATURE + text.replaceAll(' ', ''), 'hex');
}

const ip4 = fc.ipV4();
const ip6 = fc
  .tuple(fc.nat(0xffff), fc.nat(0xffff))
  .map(([a, b]) => `2001:db8:${(a || 1).toString(16)}::${(b || 1).toString(16)}`);
const port = fc.nat(65_535);

describe('PROXY protocol, version 1', () => {
  const vectors: [string, string, number][] = [
    ['PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n', '192.0.2.1', 56_324],
    ['PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n', '2001:db8::1', 1],
    ['PROXY TCP6 2001:0DB8:0:0:0:0:0:0001 ::1 0 443\r\n', '2001:db8::1', 0],
    ['PROXY TCP6 ::ffff:192.0.2.1 ::1 5 443\r\n', '192.0.2.1', 5],
  ];
  for (const [line, ip, sourcePort] of vectors) {
    it(JSON.stringify(line), () => {
      assert.deepEqual(parse(line), { kind: 'header', bytes: line.length, source: { ip, port: sourcePort } });
    });
  }

  it('knows nobody for UNKNOWN, whatever follows', () => {
    for (const line of ['PROXY UNKNOWN\r\n', 'PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n']) {
      assert.deepEqual(parse(line), { kind: 'header', bytes: line.length, source: null });
    }
  });

  const broken = [
    'PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n',
    'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 more\r\n',
    'PROXY TCP4 192.0.2.256 198.51.100.7 56324 443\r\n',
    'PROXY TCP4 2001:db8::1 198.51.100.7 56324 443\r\n',
    'PROXY TCP6 192.0.2.1 2001:db8::2 56324 443\r\n',
    'PROXY TCP6 fe80::1%eth0 2001:db8::2 56324 443\r\n',
    'PROXY TCP4 192.0.2.1 198.51.100.7 056324 443\r\n',
    'PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n',
    'PROXY TCP4 192.0.2.1 198.51.100.7 +1 443\r\n',
    'PROXY UDP4 192.0.2.1 198.51.100.7 1 443\r\n',
    'PROXY  TCP4 192.0.2.1 198.51.100.7 1 443\r\n',
    'PROXY \r\n',
    `PROXY UNKNOWN ${'x'.repeat(100)}\r\n`,
  ];
  for (const line of broken) {
    it(`refuses ${JSON.stringify(line)}`, () => assert.equal(parse(line).kind, 'invalid'));
  }

  it('waits for the rest, up to the longest line', () => {
    assert.equal(parse(`PROXY TCP6 ${'f'.repeat(80)}`).kind, 'more');
    assert.equal(parse(`PROXY TCP6 ${'f'.repeat(96)}`).kind, 'invalid');
  });
});

describe('PROXY protocol, version 2', () => {
  it('TCP over IPv4, with extensions that are skipped', () => {
    const bytes = hex('21 11 0010 c0000201 c6336407 dc04 01bb 04 0001 00');
    assert.deepEqual(parse(bytes), { kind: 'header', bytes: 32, source: { ip: '192.0.2.1', port: 56_324 } });
  });

  it('TCP over IPv6, mapped addresses as IPv4', () => {
    const v6 = '20010db8000000000000000000000001';
    assert.deepEqual(parse(hex(`21 21 0024 ${v6} ${v6} 0001 01bb`)), {
      kind: 'header',
      bytes: 52,
      source: { ip: '2001:db8::1', port: 1 },
    });
    assert.deepEqual(parse(hex(`21 21 0024 00000000000000000000ffffc0000201 ${v6} 0001 01bb`)), {
      kind: 'header',
      bytes: 52,
      source: { ip: '192.0.2.1', port: 1 },
    });
  });

  it('knows nobody for LOCAL, unix sockets and unspecified ones', () => {
    assert.deepEqual(parse(hex('20 00 0000')), { kind: 'header', bytes: 16, source: null });
    assert.deepEqual(parse(hex('20 11 000c c0000201 c6336407 dc04 01bb')), { kind: 'header', bytes: 28, source: null });
    assert.deepEqual(parse(hex('21 00 0000')), { kind: 'header', bytes: 16, source: null });
    assert.deepEqual(parse(hex(`21 31 00d8 ${'00'.repeat(216)}`)), { kind: 'header', bytes: 232, source: null });
  });

  it('refuses unknown commands and families, addresses cut short and huge headers', () => {
    for (const text of [
      '22 11 000c',
      '11 11 000c',
      '21 41 000c',
      '21 13 000c',
      '21 11 000b',
      '21 21 0023',
      '21 11 1001',
    ]) {
      assert.equal(parse(hex(text)).kind, 'invalid', text);
    }
  });
});

describe('PROXY protocol', () => {
  it('refuses what does not start with a header', () => {
    for (const text of ['GET / HTTP/1.1\r\n', '\x16\x03\x01', 'PROXX', '\r\n\r\n\0\r\nQUIX', 'proxy TCP4']) {
      assert.equal(parse(text).kind, 'invalid', JSON.stringify(text));
    }
  });

  it('asks for more for every part of a header, and finds its end when more follows', () => {
    const endpoint = fc.tuple(fc.oneof(ip4, ip6), port).map(([ip, port]) => ({ ip, port }));
    fc.assert(
      fc.property(endpoint, endpoint, fc.boolean(), fc.uint8Array({ maxLength: 40 }), (a, b, binary, rest) => {
        const isV6 = a.ip.includes(':') || b.ip.includes(':');
        const wide = (ip: string): string => (isV6 && !ip.includes(':') ? `::ffff:${ip}` : ip);
        const header = binary
          ? encodeProxyHeader({ source: a, destination: b })
          : Buffer.from(`PROXY TCP${isV6 ? 6 : 4} ${wide(a.ip)} ${wide(b.ip)} ${a.port} ${b.port}\r\n`);
        for (let cut = 0; cut < header.length; cut++) {
          assert.equal(parse(header.subarray(0, cut)).kind, 'more');
        }
        assert.deepEqual(parse(Buffer.concat([header, rest])), { kind: 'header', bytes: header.length, source: a });
      }),
    );
    assert.deepEqual(parse(encodeProxyHeader(null)), { kind: 'header', bytes: 16, source: null });
  });

  it('never throws, and never says that a header is longer than what there is', () => {
    const start = fc.constantFrom('', 'PROXY ', 'PROXY TCP4 ', Buffer.from(SIGNATURE, 'hex').toString('latin1'));
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 300 }), (prefix, rest) => {
        const bytes = Buffer.concat([Buffer.from(prefix, 'latin1'), rest]);
        const header = parse(bytes);
        if (header.kind === 'header') assert.ok(header.bytes <= bytes.length);
      }),
      { numRuns: 2000 },
    );
  });

  it('writes text that is no address as if it were none', () => {
    const header = encodeProxyHeader({ source: { ip: 'x', port: 1 }, destination: { ip: '192.0.2.1', port: 2 } });
    assert.deepEqual(parse(header), { kind: 'header', bytes: 28, source: { ip: '0.0.0.0', port: 1 } });
  });
});
