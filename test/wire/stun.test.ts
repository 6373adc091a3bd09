import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { formatIp } from '../../src/base/ip-address.ts';
import {
  encodeBindingRequest,
  isBindingRequest,
  isStun,
  isTailnodeRequest,
  MAX_STUN_RESPONSE_BYTES,
  parseBindingResponse,
} from '../../src/wire/stun.ts';
import { writeStunResponse } from './stun-response.ts';

const ID = Buffer.from('0102030405060708090a0b0c', 'hex');
const REQUEST = Buffer.from('000100142112a4420102030405060708090a0b0c802200087461696c6e6f646580280004b32c370f', 'hex');
const COOKIE = '2112a442';

const respond = (ip: string, port: number, request: Buffer = REQUEST, at = 0): Buffer => {
  const out = Buffer.alloc(MAX_STUN_RESPONSE_BYTES);
  return out.subarray(0, writeStunResponse(out, request, at, ip, port));
};
const parse = (bytes: Buffer) => parseBindingResponse(bytes, 0, bytes.length);
const strict = (bytes: Buffer): boolean => isTailnodeRequest(bytes, 0, bytes.length);
const generic = (bytes: Buffer): boolean => isBindingRequest(bytes, 0, bytes.length);
const attribute = (type: number, value: Buffer, padded = true): Buffer => {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc(padded ? -value.length & 3 : 0)]);
};
const message = (type: number, ...attributes: Buffer[]): Buffer => {
  const body = Buffer.concat(attributes);
  const head = Buffer.from(`00000000${COOKIE}${ID.toString('hex')}`, 'hex');
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(body.length, 2);
  return Buffer.concat([head, body]);
};
const fingerprinted = (bytes: Buffer, counted = true): Buffer => {
  const head = Buffer.from(bytes);
  if (counted) head.writeUInt16BE(head.readUInt16BE(2) + 8, 2);
  const value = Buffer.alloc(4);
  value.writeUInt32BE((crc32(head) ^ 0x5354554e) >>> 0);
  return Buffer.concat([head, attribute(0x8028, value)]);
};
const SOFTWARE = attribute(0x8022, Buffer.from('tailnode'));
const MAPPED = Buffer.from('0001d431c0000201', 'hex');

describe('STUN requests', () => {
  it('§9.83 a request built per §6.1 is the vector of §10.4 and is accepted', () => {
    assert.deepEqual(encodeBindingRequest(ID), REQUEST);
    assert.ok(strict(REQUEST));
    assert.ok(generic(REQUEST));
  });

  it('§9.87 SOFTWARE is the first attribute', () => {
    assert.equal(encodeBindingRequest(ID).readUInt16BE(20), 0x8022);
  });

  it('§9.85 detection needs 20 bytes, the cookie and zero top bits', () => {
    const head = (first: string, tail: number): Buffer =>
      Buffer.concat([Buffer.from(`${first}000000${COOKIE}`, 'hex'), Buffer.alloc(tail)]);
    const is = (bytes: Buffer): boolean => isStun(bytes, 0, bytes.length);
    assert.ok(is(head('00', 12)));
    assert.ok(is(head('20', 12)));
    assert.ok(!is(head('40', 12)));
    assert.ok(!is(head('f0', 12)));
    assert.ok(!is(head('00', 11)));
    assert.ok(!is(Buffer.alloc(20)));
    assert.ok(!is(Buffer.alloc(0)));
  });

  it('accepts any attribute order and any header length, as the reference does (§6.2)', () => {
    const other = attribute(0x0006, Buffer.from('abc'));
    assert.ok(strict(fingerprinted(message(1, other, SOFTWARE))));
    assert.ok(strict(fingerprinted(message(1, SOFTWARE, attribute(0x8022, Buffer.from('else'))))));
    assert.ok(strict(fingerprinted(message(1, SOFTWARE), false)));
  });

  const refused: Record<string, Buffer> = {
    'a message of another type': fingerprinted(message(2, SOFTWARE)),
    'a success response': fingerprinted(message(0x0101, SOFTWARE)),
    'no attributes': message(1),
    'no SOFTWARE': fingerprinted(message(1)),
    'another SOFTWARE': fingerprinted(message(1, attribute(0x8022, Buffer.from('tailnod')))),
    'SOFTWARE in another case': fingerprinted(message(1, attribute(0x8022, Buffer.from('Tailnode')))),
    'no FINGERPRINT': message(1, SOFTWARE),
    'a FINGERPRINT that is not last': Buffer.concat([fingerprinted(message(1, SOFTWARE)), SOFTWARE]),
    'a wrong FINGERPRINT': Buffer.concat([REQUEST.subarray(0, 39), Buffer.of(0x0e)]),
    'a FINGERPRINT of 3 bytes': message(1, SOFTWARE, attribute(0x8028, Buffer.alloc(3))),
    'an attribute cut in its header': REQUEST.subarray(0, 34),
    'an attribute cut in its value': REQUEST.subarray(0, 38),
    'an attribute without its padding': message(1, SOFTWARE, attribute(0x8022, Buffer.alloc(3), false)),
  };
  for (const [name, bytes] of Object.entries(refused)) {
    it(`refuses ${name}`, () => assert.ok(!strict(bytes)));
  }

  it('takes generic requests with optional attributes only, and checks a FINGERPRINT that is there', () => {
    assert.ok(generic(message(1)));
    assert.ok(generic(message(1, attribute(0x8022, Buffer.from('coturn')))));
    assert.ok(generic(fingerprinted(message(1))));
    assert.ok(!generic(message(1, attribute(0x8028, Buffer.alloc(4)))));
    assert.ok(!generic(message(1, attribute(0x8028, Buffer.alloc(3)))));
    assert.ok(!generic(Buffer.concat([fingerprinted(message(1)), SOFTWARE])));
    assert.ok(!generic(message(1, attribute(0x0003, Buffer.alloc(4)))), 'CHANGE-REQUEST must be understood');
    assert.ok(!generic(message(2)));
    assert.ok(!generic(Buffer.concat([message(1), Buffer.alloc(4)])), 'longer than it says');
    assert.ok(!generic(message(1, Buffer.alloc(2))), 'half an attribute header');
    assert.ok(!generic(message(1, Buffer.from('80220009', 'hex'), Buffer.alloc(8))), 'attribute beyond the end');
    const classic = message(1);
    classic.writeUInt32BE(0, 4);
    assert.ok(!generic(classic), 'RFC 3489');
  });
});

describe('STUN responses', () => {
  it('are the vectors of §10.4, IPv4-mapped addresses sent as IPv4', () => {
    const ipv4 = '0101000c2112a4420102030405060708090a0b0c002000080001f523e112a643';
    assert.equal(respond('192.0.2.1', 54321).toString('hex'), ipv4);
    assert.equal(respond('::ffff:192.0.2.1', 54321).toString('hex'), ipv4);
    assert.equal(
      respond('2001:db8::1', 54321).toString('hex'),
      '010100182112a4420102030405060708090a0b0c002000140002f5230113a9fa0102030405060708090a0b0d',
    );
  });

  it('answers nothing to what is no address', () => {
    for (const text of [
      '',
      '1.2.3',
      '1.2.3.4.5',
      '1.2.3.',
      '.1.2.3',
      '1..2.3',
      '1.2.3.256',
      'a.b.c.d',
      ':',
      '1.2.3.4 ',
      '1 2.3.4',
    ]) {
      assert.equal(respond(text, 1).length, 0, text);
    }
  });

  it('§9.84 parse back to the same address and port for IPv4 and IPv6', () => {
    const ip = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }).filter((bytes) => bytes[0] !== 0),
    );
    fc.assert(
      fc.property(
        ip,
        fc.nat(65_535),
        fc.uint8Array({ minLength: 12, maxLength: 12 }),
        fc.nat(9),
        (bytes, port, id, at) => {
          const text = formatIp(Buffer.from(bytes));
          const request = Buffer.concat([Buffer.alloc(at), encodeBindingRequest(id)]);
          assert.ok(isTailnodeRequest(request, at, request.length));
          assert.deepEqual(parse(respond(text, port, request, at)), { transactionId: Buffer.from(id), ip: text, port });
        },
      ),
    );
  });

  it('parses the reference’s own IPv4-mapped examples (§10.4)', () => {
    const mapped = '010100182112a4420102030405060708090a0b0c002000140002f5232112a442010203040506f8f7c90a090d';
    assert.deepEqual(parse(Buffer.from(mapped, 'hex')), { transactionId: ID, ip: '192.0.2.1', port: 54321 });
    const upstream = '010100182112a4424fd5d202dcb37d31fc773306002000140002cd3d2112a4424fd5d202dcb382ce2dc3fcc7';
    assert.deepEqual(parse(Buffer.from(upstream, 'hex')), {
      transactionId: Buffer.from('4fd5d202dcb37d31fc773306', 'hex'),
      ip: '209.180.207.193',
      port: 60463,
    });
  });

  it('§9.86 MAPPED-ADDRESS only, 0x8020, padded SOFTWARE, trailing bytes and IPv4-mapped addresses parse', () => {
    const seen = { transactionId: ID, ip: '192.0.2.1', port: 54321 };
    const xored = respond('192.0.2.1', 54321).subarray(24);
    const wrong = Buffer.from('0001000001010101', 'hex');
    const mapped = Buffer.from('0002d43100000000000000000000ffffc0000201', 'hex');
    assert.deepEqual(parse(message(0x0101, attribute(1, MAPPED))), seen);
    assert.deepEqual(parse(message(0x0101, attribute(1, mapped))), seen);
    assert.deepEqual(parse(message(0x0101, attribute(0x8020, xored))), seen);
    assert.deepEqual(parse(message(0x0101, attribute(1, wrong), attribute(0x20, xored), attribute(1, wrong))), seen);
    for (const software of ['x', 'xyz']) {
      const padded = attribute(0x8022, Buffer.from(software));
      assert.deepEqual(parse(message(0x0101, padded, attribute(0x20, xored))), seen);
    }
    assert.deepEqual(parse(Buffer.concat([respond('192.0.2.1', 54321), Buffer.from('trailing')])), seen);
  });

  const malformed: Record<string, Buffer> = {
    'a request': REQUEST,
    'no address': message(0x0101, SOFTWARE),
    'a header length beyond the end': respond('192.0.2.1', 1).subarray(0, 31),
    'an unknown family': message(0x0101, attribute(0x20, Buffer.from('00030001c0000201', 'hex'))),
    'a short IPv6 address': message(0x0101, attribute(1, Buffer.from('00020001c0000201', 'hex'))),
    'a short value': message(0x0101, attribute(0x20, Buffer.from('0001', 'hex'))),
    'half an attribute header': message(0x0101, attribute(1, MAPPED), Buffer.alloc(2)),
    'an attribute beyond the end': message(0x0101, Buffer.from('00200100', 'hex')),
  };
  for (const [name, bytes] of Object.entries(malformed)) {
    it(`does not parse ${name}`, () => assert.equal(parse(bytes), null));
  }

  it('survives any bytes, and any change of valid ones', () => {
    const any = fc.oneof(
      fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
      fc.tuple(fc.nat(43), fc.nat(255), fc.nat(44), fc.boolean()).map(([at, value, length, request]) => {
        const bytes = Buffer.from(request ? REQUEST : respond('2001:db8::1', 54321)).subarray(0, length);
        if (at < bytes.length) bytes[at] = value;
        return bytes;
      }),
    );
    fc.assert(
      fc.property(any, (bytes) => {
        if (strict(bytes)) assert.ok(isStun(bytes, 0, bytes.length));
        generic(bytes);
        parse(bytes);
      }),
      { numRuns: 2000 },
    );
  });
});
