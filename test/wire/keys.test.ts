import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  formatNodeKey,
  generateNodeKeyPair,
  generatePrivateKeyText,
  isZeroKey,
  nodeKeyPair,
  parseHexKey,
  parseNodeKey,
  parsePrivateKey,
  shortKey,
} from '../../src/wire/keys.ts';

const PRIVATE = 'privkey:40ab1b58e9076c7a4d9d07291f5edf9d1aa017eb949624ba683317f48a640369';
const PUBLIC = 'nodekey:50d20b455ecf12bc453f83c2cfdb2a24925d06cf2598dcaa54e91af82ce9f765';
const CLIENT_PUBLIC = '0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20';

describe('keys of §10.1', () => {
  it('private gives public', () => assert.equal(formatNodeKey(parsePrivateKey(PRIVATE).publicKey), PUBLIC));
  it('in upper case too', () => {
    const upper = PRIVATE.slice(0, 8) + PRIVATE.slice(8).toUpperCase();
    assert.equal(formatNodeKey(parsePrivateKey(upper).publicKey), PUBLIC);
  });
  it('test server and client', () => {
    const server = nodeKeyPair(Buffer.from(`10${'11'.repeat(30)}51`, 'hex'));
    assert.equal(server.publicKey.toString('hex'), '7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13');
    const client = nodeKeyPair(Buffer.from(`20${'22'.repeat(30)}62`, 'hex'));
    assert.equal(client.publicKey.toString('hex'), CLIENT_PUBLIC);
  });
  it('short form', () => {
    assert.equal(shortKey(Buffer.from(CLIENT_PUBLIC, 'hex')), '[D6poT]');
    assert.equal(shortKey(Buffer.alloc(32)), '');
  });
});

describe('text forms (§3.5)', () => {
  it('a node key comes back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const key = Buffer.from(bytes);
        assert.deepEqual(parseNodeKey(formatNodeKey(key)), key);
        assert.deepEqual(parseHexKey(key.toString('hex').toUpperCase()), key);
      }),
    );
  });

  it('needs the exact prefix and 64 digits', () => {
    const hex = PUBLIC.slice(8);
    for (const text of [
      hex,
      `NODEKEY:${hex}`,
      `nodekey:${hex}0`,
      `nodekey:${hex.slice(1)}`,
      `nodekey: ${hex}`,
      `nodekey:g${hex.slice(1)}`,
      `${PUBLIC}\n`,
    ]) {
      assert.equal(parseNodeKey(text), null, text);
    }
    for (const text of ['', `${hex}0`, ` ${hex}`, `${hex}\n`]) assert.equal(parseHexKey(text), null);
  });

  it('never echoes a private key that it refuses', () => {
    for (const text of [PRIVATE.slice(8), `${PRIVATE}0`, PRIVATE.slice(0, -1), 'privkey:secret']) {
      assert.throws(
        () => parsePrivateKey(text),
        (error: Error & { code?: string }) =>
          error.code === 'TOWPATH_KEY_INVALID' && !error.message.includes(text.slice(8)),
      );
    }
  });
});

describe('new keys', () => {
  it('are clamped (§3.2) and all different', () => {
    const texts = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const text = generatePrivateKeyText();
      texts.add(text);
      const raw = Buffer.from(text.slice(8), 'hex');
      assert.equal(raw[0]! & 7, 0);
      assert.equal(raw[31]! & 0xc0, 0x40);
      assert.equal(parsePrivateKey(text).publicKey.length, 32);
    }
    assert.equal(texts.size, 20);
    assert.notDeepEqual(generateNodeKeyPair().publicKey, generateNodeKeyPair().publicKey);
  });
});

describe('comparison', () => {
  it('knows the zero key by every byte', () => {
    assert.equal(isZeroKey(Buffer.alloc(32)), true);
    for (let i = 0; i < 32; i++) {
      const key = Buffer.alloc(32);
      key[i] = 1;
      assert.equal(isZeroKey(key), false);
    }
  });
});
