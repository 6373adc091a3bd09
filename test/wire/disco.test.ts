import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { decodeDiscoMessage, DiscoType, encodeDiscoMessage, type DiscoMessage } from '../../src/wire/disco-messages.ts';
import { DISCO_ENVELOPE_BYTES, discoSender, openDisco, sealDisco, sharedDiscoKey } from '../../src/wire/disco.ts';
import { GENEVE_BYTES, GeneveProtocol, writeGeneveHeader } from '../../src/wire/geneve.ts';
import { formatIp } from '../../src/base/ip-address.ts';
import { generateNodeKeyPair, type NodeKeyPair } from '../../src/wire/keys.ts';
import * as vector from './peer-relay-vectors.ts';
import { LOW_ORDER_KEYS } from './low-order-keys.ts';

/** `fc.record` of objects that equal decoded ones. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record<T>(model, { noNullPrototype: true });
const VNI = 0x01_02_03;
const { clientA, clientB, serverDisco, nodeDisco } = vector;

/** Makes a control packet over UDP. */
function overUdp(sender: NodeKeyPair, peer: NodeKeyPair, message: DiscoMessage, nonce: Buffer): Buffer {
  const header = Buffer.alloc(GENEVE_BYTES);
  writeGeneveHeader(header, 0, VNI, GeneveProtocol.Disco, true);
  return Buffer.concat([header, sealed(sender, peer, message, nonce)]);
}

function sealed(sender: NodeKeyPair, peer: NodeKeyPair, message: DiscoMessage, nonce: Buffer): Buffer {
  return sealDisco(sender, sharedDiscoKey(sender.privateKey, peer.publicKey)!, encodeDiscoMessage(message), nonce);
}

function opened(reader: NodeKeyPair, packet: Buffer): DiscoMessage | null {
  const sender = discoSender(packet)!;
  return decodeDiscoMessage(openDisco(sharedDiscoKey(reader.privateKey, sender)!, packet)!);
}

const handshake = { vni: VNI, generation: 7, remoteKey: clientB.publicKey, challenge: vector.CHALLENGE };
const bind: DiscoMessage = { ...handshake, type: DiscoType.Bind, challenge: Buffer.alloc(32) };
const response: DiscoMessage = {
  type: DiscoType.AllocateResponse,
  generation: 9,
  endpoint: {
    serverDisco: serverDisco.publicKey,
    clientKeys: [clientA.publicKey, clientB.publicKey],
    lamportId: 1n,
    vni: VNI,
    bindLifetimeMs: 30_000,
    steadyLifetimeMs: 300_000,
    addresses: [{ ip: '192.0.2.10', port: 40_000 }],
  },
};

const address = record({
  ip: fc
    .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
    .map((bytes) => formatIp(Buffer.from(bytes)))
    .filter((text) => !text.startsWith('::ffff:')),
  port: fc.integer({ min: 0, max: 65_535 }),
});
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map((b) => Buffer.from(b));
const uint32 = fc.integer({ min: 0, max: 0xff_ff_ff_ff });
const lifetime = fc.integer({ min: 0, max: 86_400_000 });
const endpoint = record({
  serverDisco: bytes(32),
  clientKeys: fc.tuple(bytes(32), bytes(32)),
  lamportId: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  vni: uint32,
  bindLifetimeMs: lifetime,
  steadyLifetimeMs: lifetime,
  addresses: fc.array(address, { minLength: 1, maxLength: 8 }),
});
const nodeKey = fc.option(bytes(32).filter((key) => key.some((byte) => byte !== 0)));
const anyMessage: fc.Arbitrary<DiscoMessage> = fc.oneof(
  record({ type: fc.constant(DiscoType.Ping), transactionId: bytes(12), nodeKey }),
  fc
    .tuple(bytes(12), address)
    .map(([transactionId, { ip, port }]) => ({ type: DiscoType.Pong, transactionId, ip, port })),
  record({
    type: fc.constantFrom(DiscoType.Bind, DiscoType.Challenge, DiscoType.Answer),
    vni: uint32,
    generation: uint32,
    remoteKey: bytes(32),
    challenge: bytes(32),
  }),
  record({ type: fc.constant(DiscoType.CallMeMaybeVia), endpoint }),
  record({
    type: fc.constant(DiscoType.AllocateRequest),
    clientKeys: fc.tuple(bytes(32), bytes(32)),
    generation: uint32,
  }),
  record({ type: fc.constant(DiscoType.AllocateResponse), generation: uint32, endpoint }),
);

suite('disco messages (peer relay §17.1, peer relay §19.1)', () => {
  test('the keys are those of the vectors', () => {
    assert.deepEqual(clientA.publicKey, vector.PUBLIC_KEYS.clientA);
    assert.deepEqual(clientB.publicKey, vector.PUBLIC_KEYS.clientB);
    assert.deepEqual(serverDisco.publicKey, vector.PUBLIC_KEYS.serverDisco);
    assert.deepEqual(nodeDisco.publicKey, vector.PUBLIC_KEYS.nodeDisco);
    assert.deepEqual(sharedDiscoKey(serverDisco.privateKey, clientA.publicKey), vector.SHARED_KEY);
  });

  test('Bind, Challenge and Answer are those of the vectors, 160 bytes each', () => {
    assert.deepEqual(encodeDiscoMessage(bind), vector.BIND_PLAIN);
    assert.deepEqual(overUdp(clientA, serverDisco, bind, vector.counting(0xa0, 24)), vector.BIND_UDP);
    const challenge: DiscoMessage = { ...handshake, type: DiscoType.Challenge };
    assert.deepEqual(overUdp(serverDisco, clientA, challenge, vector.counting(0x50, 24)), vector.CHALLENGE_UDP);
    const answer: DiscoMessage = { ...handshake, type: DiscoType.Answer };
    assert.deepEqual(overUdp(clientA, serverDisco, answer, vector.counting(0x70, 24)), vector.ANSWER_UDP);
    assert.deepEqual([vector.BIND_UDP.length, vector.CHALLENGE_UDP.length, vector.ANSWER_UDP.length], [160, 160, 160]);
    assert.deepEqual(opened(serverDisco, vector.BIND_UDP.subarray(GENEVE_BYTES)), bind);
    assert.deepEqual(opened(serverDisco, vector.ANSWER_UDP.subarray(GENEVE_BYTES)), answer);
    assert.deepEqual(opened(clientA, vector.CHALLENGE_UDP.subarray(GENEVE_BYTES)), challenge);
  });

  test('the allocation is that of the vectors', () => {
    const request: DiscoMessage = {
      type: DiscoType.AllocateRequest,
      clientKeys: [clientA.publicKey, clientB.publicKey],
      generation: 9,
    };
    assert.deepEqual(encodeDiscoMessage(request), vector.ALLOCATE_REQUEST_PLAIN);
    assert.deepEqual(sealed(clientA, nodeDisco, request, vector.counting(0x10, 24)), vector.ALLOCATE_REQUEST);
    assert.deepEqual(opened(nodeDisco, vector.ALLOCATE_REQUEST), request);
    assert.deepEqual(encodeDiscoMessage(response), vector.ALLOCATE_RESPONSE_PLAIN);
    assert.deepEqual(sealed(nodeDisco, clientA, response, vector.counting(0x30, 24)), vector.ALLOCATE_RESPONSE);
    assert.deepEqual(opened(clientA, vector.ALLOCATE_RESPONSE), response);
  });
});

suite('decoding disco messages', () => {
  test('gives back what was encoded', () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        assert.deepEqual(decodeDiscoMessage(encodeDiscoMessage(message)), message);
      }),
    );
  });

  test('never throws, and what it accepts can be encoded again', () => {
    const typed = fc.tuple(fc.integer({ min: 0, max: 10 }), fc.constantFrom(0, 1), fc.uint8Array({ maxLength: 260 }));
    fc.assert(
      fc.property(typed, ([type, version, rest]) => {
        const message = decodeDiscoMessage(Buffer.from([type, version, ...rest]));
        if (message !== null) assert.deepEqual(decodeDiscoMessage(encodeDiscoMessage(message)), message);
      }),
      { numRuns: 500 },
    );
  });

  test('no endpoint without addresses, nor with a part of one (peer relay §3.3)', () => {
    const whole = encodeDiscoMessage(response);
    assert.equal(decodeDiscoMessage(whole.subarray(0, -18)), null);
    for (let cut = 1; cut < whole.length; cut++) assert.equal(decodeDiscoMessage(whole.subarray(0, -cut)), null);
    assert.equal(decodeDiscoMessage(Buffer.concat([whole, Buffer.alloc(1)])), null);
    assert.throws(
      () => encodeDiscoMessage({ ...response, endpoint: { ...response.endpoint, addresses: [] } }),
      RangeError,
    );
  });

  test('the version counts from type 7 on; bytes behind a request or a handshake do not (peer relay §2)', () => {
    const later = (plain: Buffer): Buffer => Buffer.concat([plain.subarray(0, 1), Buffer.of(1), plain.subarray(2)]);
    const longer = (plain: Buffer): Buffer => Buffer.concat([plain, Buffer.alloc(5)]);
    assert.deepEqual(decodeDiscoMessage(later(longer(vector.BIND_PLAIN))), bind);
    assert.equal(decodeDiscoMessage(later(vector.ALLOCATE_REQUEST_PLAIN)), null);
    assert.equal(decodeDiscoMessage(later(vector.ALLOCATE_RESPONSE_PLAIN)), null);
    assert.notEqual(decodeDiscoMessage(longer(vector.ALLOCATE_REQUEST_PLAIN)), null);
  });

  test('zero bytes behind a ping are padding and not a node key (peer relay §3.6)', () => {
    const ping: DiscoMessage = { type: DiscoType.Ping, transactionId: vector.counting(1, 12), nodeKey: null };
    const padded = Buffer.concat([encodeDiscoMessage(ping), Buffer.alloc(600)]);
    assert.deepEqual(decodeDiscoMessage(padded), ping);
  });
});

suite('disco envelopes', () => {
  const shared = vector.SHARED_KEY;

  test('open to what was sealed, wherever they stand', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), fc.nat(20), (message, before, behind) => {
        const packet = sealDisco(clientA, shared, message);
        assert.equal(packet.length, message.length + DISCO_ENVELOPE_BYTES);
        const buffer = Buffer.concat([Buffer.alloc(before), packet, Buffer.alloc(behind)]);
        const end = before + packet.length;
        assert.deepEqual(discoSender(buffer, before, end), clientA.publicKey);
        assert.deepEqual(openDisco(shared, buffer, before, end), Buffer.from(message));
      }),
      { numRuns: 30 },
    );
  });

  test('any bytes give null', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (junk, hasMagic) => {
        const packet = Buffer.concat([hasMagic ? vector.ALLOCATE_REQUEST.subarray(0, 6) : Buffer.alloc(0), junk]);
        discoSender(packet);
        assert.equal(openDisco(shared, packet), null);
      }),
    );
    assert.equal(discoSender(vector.ALLOCATE_REQUEST, 0, 61), null);
    assert.equal(openDisco(shared, vector.ALLOCATE_REQUEST), null, 'sealed for another');
  });

  test('keys that nobody can have share nothing (zero, one, and other points of low order)', () => {
    const { privateKey } = generateNodeKeyPair();
    for (const key of LOW_ORDER_KEYS) assert.equal(sharedDiscoKey(privateKey, Buffer.from(key, 'hex')), null, key);
  });
});
