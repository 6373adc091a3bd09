import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import nacl from 'tweetnacl';
import { openBox, sealBox, sharedBoxKey } from '../../src/wire/box.ts';
import { generateNodeKeyPair, nodeKeyPair } from '../../src/wire/keys.ts';
import { LOW_ORDER_KEYS } from './low-order-keys.ts';

const serverRaw = Buffer.from(`10${'11'.repeat(30)}51`, 'hex');
const clientRaw = Buffer.from(`20${'22'.repeat(30)}62`, 'hex');
const server = nodeKeyPair(serverRaw);
const client = nodeKeyPair(clientRaw);
const shared = sharedBoxKey(server.privateKey, client.publicKey);

describe('box (§3.2)', () => {
  it('shares the key of §10.1 from either side', () => {
    assert.equal(shared.toString('hex'), '8abe7c8ae6800b76d4f5986b04b77f6e9b4f332403c90df02428336e8bd9b525');
    assert.deepEqual(sharedBoxKey(client.privateKey, server.publicKey), shared);
  });

  it('opens its own and tweetnacl opens it, and the other way round', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (plain) => {
        const sealed = sealBox(shared, plain);
        assert.equal(sealed.length, plain.length + 40);
        assert.deepEqual(openBox(shared, sealed), Buffer.from(plain));
        const opened = nacl.box.open(sealed.subarray(24), sealed.subarray(0, 24), client.publicKey, serverRaw);
        assert.deepEqual(opened, new Uint8Array(plain));
        const nonce = nacl.randomBytes(24);
        const theirs = nacl.box(plain, nonce, server.publicKey, clientRaw);
        assert.deepEqual(openBox(shared, Buffer.concat([nonce, theirs])), Buffer.from(plain));
      }),
      { numRuns: 30 },
    );
  });

  it('refuses what was changed, cut or sealed for another (statement 14)', () => {
    const sealed = sealBox(shared, Buffer.from('hello'));
    for (let i = 0; i < sealed.length; i++) {
      const changed = Buffer.from(sealed);
      changed[i] = changed[i]! ^ 1;
      assert.throws(() => openBox(shared, changed));
    }
    for (let length = 0; length < sealed.length; length++) {
      assert.throws(() => openBox(shared, sealed.subarray(0, length)));
    }
    const other = sharedBoxKey(generateNodeKeyPair().privateKey, client.publicKey);
    assert.throws(() => openBox(other, sealed));
  });

  it('leaves what it opens unchanged', () => {
    const sealed = sealBox(shared, Buffer.from('hello'));
    const copy = Buffer.from(sealed);
    openBox(shared, sealed);
    assert.deepEqual(sealed, copy);
  });

  it('uses a new nonce each time', () => {
    assert.notDeepEqual(sealBox(shared, Buffer.of(1)), sealBox(shared, Buffer.of(1)));
  });

  it('refuses low-order public keys (§11.4)', () => {
    for (const key of LOW_ORDER_KEYS) {
      assert.throws(() => sharedBoxKey(server.privateKey, Buffer.from(key, 'hex')), key);
    }
  });
});
