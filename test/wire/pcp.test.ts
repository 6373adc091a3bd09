import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { decodePortMappingAnswer, encodePcpMap, encodePmpAddress, encodePmpMap } from '../../src/wire/pcp.ts';

const NONCE = '0102030405060708090a0b0c';
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const decode = (bytes: Buffer): ReturnType<typeof decodePortMappingAnswer> =>
  decodePortMappingAnswer(bytes, 0, bytes.length);

/** Makes an answer to a MAP request (RFC 6887 §11.1): version, opcode, result, lifetime, epoch, and the fields of the request. */
const pcp = (code: string, rest: string): Buffer =>
  hex(`02 81 00 ${code} 00001c20 00000063 000000000000000000000000 ${rest}`);
const MAPPED = `${NONCE} 11 000000 0d96 c350 00000000000000000000ffff cb007107`;

suite('PCP (RFC 6887)', () => {
  test('asks for a mapping with 60 bytes', () => {
    assert.deepEqual(
      encodePcpMap('10.80.1.2', hex(NONCE), 3478, 443, 7200),
      hex(
        `02 01 0000 00001c20 00000000000000000000ffff 0a500102
        ${NONCE} 11 000000 0d96 01bb 00000000000000000000ffff 00000000`.replaceAll('\n', ''),
      ),
    );
  });

  test('reads a mapping, a refusal and another version', () => {
    assert.deepEqual(decode(pcp('00', MAPPED)), {
      kind: 'mapped',
      nonce: hex(NONCE),
      internalPort: 3478,
      port: 50_000,
      ip: '203.0.113.7',
      lifetimeSeconds: 7200,
    });
    assert.deepEqual(decode(pcp('02', MAPPED)), { kind: 'refused', code: 2, reason: 'not authorized' });
    assert.deepEqual(decode(pcp('2a', '')), { kind: 'refused', code: 42, reason: 'result code 42' });
    assert.deepEqual(decode(pcp('01', '')), { kind: 'version' });
  });
});

suite('NAT-PMP (RFC 6886)', () => {
  test('asks for the address and for a mapping', () => {
    assert.deepEqual(encodePmpAddress(), hex('00 00'));
    assert.deepEqual(encodePmpMap(3478, 443, 7200), hex('00 01 0000 0d96 01bb 00001c20'));
  });

  test('reads the address, a mapping, a refusal and another version', () => {
    assert.deepEqual(decode(hex('00 80 0000 00000063 cb007107')), { kind: 'address', ip: '203.0.113.7' });
    assert.deepEqual(decode(hex('00 81 0000 00000063 0d96 c350 00001c20')), {
      kind: 'mapped',
      nonce: null,
      internalPort: 3478,
      port: 50_000,
      ip: null,
      lifetimeSeconds: 7200,
    });
    assert.deepEqual(decode(hex('00 81 0002 00000063 0d96 0000 00000000')), {
      kind: 'refused',
      code: 2,
      reason: 'not authorized',
    });
    assert.deepEqual(decode(hex('00 81 0001 00000063')), { kind: 'version' });
  });
});

test('requests, short answers and other bytes are no answers, and none throws', () => {
  for (const bytes of [encodePcpMap('10.0.0.1', hex(NONCE), 1, 1, 1), encodePmpMap(1, 1, 1), encodePmpAddress()])
    assert.equal(decode(bytes), null);
  const whole = pcp('00', MAPPED);
  for (let length = 0; length < whole.length; length++) assert.equal(decode(whole.subarray(0, length)), null);
  fc.assert(
    fc.property(fc.constantFrom(0, 2, 1), fc.uint8Array({ maxLength: 70 }), (version, bytes) => {
      decode(Buffer.from([version, ...bytes]));
    }),
  );
});
