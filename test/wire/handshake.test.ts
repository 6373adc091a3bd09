import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { openBox, sharedBoxKey } from '../../src/wire/box.ts';
import { FRAME_HEADER_BYTES, MAGIC, encodeServerKey } from '../../src/wire/frames.ts';
import {
  encodeClientInfo,
  encodeServerInfo,
  isAppName,
  parseClientInfo,
  parseServerInfo,
  parseServerKey,
  upgradeResponseHead,
} from '../../src/wire/handshake.ts';
import { nodeKeyPair } from '../../src/wire/keys.ts';

const server = nodeKeyPair(Buffer.from(`10${'11'.repeat(30)}51`, 'hex'));
const client = nodeKeyPair(Buffer.from(`20${'22'.repeat(30)}62`, 'hex'));
const sharedKey = sharedBoxKey(client.privateKey, server.publicKey);
const MESH_KEY = '0123456789abcdef'.repeat(4);
const DEFAULTS = { meshKey: null, version: 0, canAckPings: false, isProber: false, appName: '' };

function counting(from: number): Buffer {
  return Buffer.from(Array.from({ length: 24 }, (_, i) => from + i));
}

function parse(text: string): ReturnType<typeof parseClientInfo> {
  return parseClientInfo(Buffer.from(text));
}

describe('handshake vectors (§10.2, §10.5)', () => {
  it('ServerKey', () => {
    const frame = encodeServerKey(server.publicKey);
    assert.equal(
      frame.toString('hex'),
      '010000002844455250f09f94917b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13',
    );
    assert.deepEqual(parseServerKey(frame, FRAME_HEADER_BYTES, frame.length), server.publicKey);
  });

  it('ClientInfo', () => {
    const frame = encodeClientInfo({
      publicKey: client.publicKey,
      sharedKey,
      info: { canAckPings: true },
      nonce: counting(0),
    });
    assert.equal(
      frame.toString('hex'),
      '02000000680faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20' +
        '000102030405060708090a0b0c0d0e0f1011121314151617' +
        'a858a062bb55fbd0e565bf952225b5e220ae6ff32ce093a7548f0f9efd7331db8b94711fe4546f1ed0d738121d94abe3',
    );
  });

  it('ServerInfo without a limit', () => {
    const frame = encodeServerInfo({ sharedKey, bytesPerSecond: 0, burstBytes: 0, nonce: counting(0x40) });
    assert.equal(
      frame.toString('hex'),
      '0300000035404142434445464748494a4b4c4d4e4f50515253545556575deabe63b19063cfb6d9904f1c4be73f3094c6d092c392c6c6864f0d29',
    );
  });

  it('mesh ClientInfo is 110 bytes of JSON, payload length 182', () => {
    const info = { meshKey: Buffer.from(MESH_KEY, 'hex') };
    const frame = encodeClientInfo({ publicKey: client.publicKey, sharedKey, info });
    assert.equal(frame.subarray(0, 5).toString('hex'), '02000000b6');
    assert.equal(
      openBox(sharedKey, frame.subarray(37)).toString(),
      `{"meshKey":"${MESH_KEY}","version":2,"CanAckPings":false}`,
    );
  });

  it('ClientInfo leaves out what is zero, false or empty, except CanAckPings', () => {
    const info = { version: 0, isProber: false, appName: '' };
    const frame = encodeClientInfo({ publicKey: client.publicKey, sharedKey, info });
    assert.equal(openBox(sharedKey, frame.subarray(37)).toString(), '{"CanAckPings":false}');
  });

  it('response head', () => {
    assert.equal(
      upgradeResponseHead(server.publicKey),
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\nDerp-Version: 2\r\n' +
        'Derp-Public-Key: 7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13\r\n\r\n',
    );
  });
});

describe('greeting checks (§2.4, statement 103)', () => {
  const greeting = Buffer.concat([MAGIC, server.publicKey]);

  it('ignores extra bytes after byte 40, up to 1024 in all', () => {
    const longest = Buffer.concat([greeting, Buffer.alloc(984, 7)]);
    assert.deepEqual(parseServerKey(longest, 0, 1024), server.publicKey);
    assert.equal(parseServerKey(Buffer.concat([longest, Buffer.of(0)]), 0, 1025), null);
  });

  it('refuses a short greeting and a wrong magic', () => {
    assert.equal(parseServerKey(greeting, 0, 39), null);
    const wrong = Buffer.from(greeting);
    wrong[7] = 0;
    assert.equal(parseServerKey(wrong, 0, 40), null);
  });

  it('returns a copy', () => {
    const buffer = Buffer.from(greeting);
    const key = parseServerKey(buffer, 0, 40);
    buffer.fill(0);
    assert.deepEqual(key, server.publicKey);
  });
});

describe('ClientInfo JSON (§3.3)', () => {
  it('accepts {} (statement 9)', () => assert.deepEqual(parse('{}'), DEFAULTS));

  it('matches keys in any case (statement 10) and ignores unknown ones', () => {
    const expected = { ...DEFAULTS, version: 2, meshKey: Buffer.from(MESH_KEY, 'hex') };
    for (const text of [
      `{"version":2,"meshKey":"${MESH_KEY}"}`,
      `{"Version":2,"MeshKey":"${MESH_KEY.toUpperCase()}","Other":[{}]}`,
    ]) {
      assert.deepEqual(parse(text), expected);
    }
  });

  it('refuses a malformed mesh key (statement 11)', () => {
    for (const value of [
      '""',
      'null',
      '1',
      `"${MESH_KEY}0"`,
      `"${MESH_KEY.slice(1)}"`,
      `" ${MESH_KEY}"`,
      `"g${MESH_KEY.slice(1)}"`,
    ]) {
      assert.equal(parse(`{"meshKey":${value}}`), null, value);
    }
  });

  it('refuses what is no single JSON object', () => {
    for (const text of ['', '[]', '[1]', 'null', '1', '"x"', '{} {}', '{}x', '{"version":2', '\u{feff}{}']) {
      assert.equal(parse(text), null, text);
    }
  });

  it('refuses wrong types of known keys and takes null as absent', () => {
    for (const text of [
      '{"version":"2"}',
      '{"version":2.5}',
      '{"version":1e30}',
      '{"CanAckPings":1}',
      '{"IsProber":"true"}',
      '{"AppName":1}',
    ]) {
      assert.equal(parse(text), null, text);
    }
    assert.deepEqual(parse('{"version":null,"CanAckPings":null,"IsProber":null,"AppName":null}'), DEFAULTS);
  });

  it('knows which names a program may have', () => {
    for (const name of ['', 'x', ' ', '~', 'x'.repeat(32), 'tsnet app 1.0']) assert.ok(isAppName(name), name);
    for (const name of ['x'.repeat(33), 'a\n', '\x1f', '\x7f', 'ä', '\u{1f511}', '\ufffd', '\0']) {
      assert.ok(!isAppName(name), JSON.stringify(name));
    }
  });

  it('survives any bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          parseClientInfo(Buffer.from(bytes));
          parseServerInfo(Buffer.from(bytes));
        },
      ),
    );
  });

  it('survives deep nesting at the size limit', () => {
    assert.equal(parse('['.repeat(262_144)), null);
  });

  it('comes back as it was sent', () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            meshKey: fc.option(fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes))),
            version: fc.nat(),
            canAckPings: fc.boolean(),
            isProber: fc.boolean(),
            appName: fc.string({ maxLength: 32 }),
          },
          { noNullPrototype: true },
        ),
        (info) => {
          const frame = encodeClientInfo({ publicKey: client.publicKey, sharedKey, info });
          assert.deepEqual(frame.subarray(5, 37), client.publicKey);
          assert.deepEqual(parseClientInfo(openBox(sharedKey, frame.subarray(37))), info);
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe('ServerInfo JSON (§3.4)', () => {
  it('carries a token bucket', () => {
    const frame = encodeServerInfo({ sharedKey, bytesPerSecond: 1000, burstBytes: 65_568 });
    const plain = openBox(sharedKey, frame.subarray(5));
    assert.equal(plain.toString(), '{"version":2,"TokenBucketBytesPerSecond":1000,"TokenBucketBytesBurst":65568}');
    assert.deepEqual(parseServerInfo(plain), { version: 2, bytesPerSecond: 1000, burstBytes: 65_568 });
  });

  it('reads {} and refuses the rest', () => {
    assert.deepEqual(parseServerInfo(Buffer.from('{}')), { version: 0, bytesPerSecond: 0, burstBytes: 0 });
    for (const text of [
      '[]',
      '{',
      '{"version":"2"}',
      '{"TokenBucketBytesPerSecond":true}',
      '{"tokenbucketbytesburst":{}}',
    ]) {
      assert.equal(parseServerInfo(Buffer.from(text)), null, text);
    }
  });
});
