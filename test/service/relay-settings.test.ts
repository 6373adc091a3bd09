import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { keepAlivePeriods, relaySettings } from '../../src/service/relay-settings.ts';
import { generateNodeKeyPair, nodeKeyPair } from '../../src/wire/keys.ts';

describe('keep-alive', () => {
  it('comes every 25 s behind a proxy, and every minute else', () => {
    const tls = loadConfig({ env: { TOWPATH_HOSTNAME: 'x.example.com' } }).config;
    assert.deepEqual(keepAlivePeriods(tls), { keepAliveMs: 60_000, keepAliveBehindProxyMs: 25_000 });
    const plain = { ...tls, transport: 'plain' } as const;
    assert.deepEqual(keepAlivePeriods(plain), { keepAliveMs: 25_000, keepAliveBehindProxyMs: 25_000 });
  });
});

describe('what a relay is told', () => {
  it('comes to another thread as it was', () => {
    const { config } = loadConfig({
      env: {
        TOWPATH_HOSTNAME: 'x.example.com',
        TOWPATH_PROXY_PROTOCOL: 'true',
        TOWPATH_TRANSPORT: 'plain',
        TOWPATH_STUN_GENERIC: 'true',
        TOWPATH_ADMISSION_DENY_APPS: 'a,b',
      },
    });
    const settings = relaySettings(config, generateNodeKeyPair());
    assert.deepEqual(structuredClone(settings), { ...settings, privateKey: new Uint8Array(settings.privateKey) });
    // Also as text: it has only numbers, texts and lists, except for the key.
    const others = { ...settings, privateKey: null };
    assert.deepEqual(JSON.parse(JSON.stringify(others)), others);
  });

  it('holds the private key as bytes that make the same pair', () => {
    const pair = generateNodeKeyPair();
    const { config } = loadConfig({ env: { TOWPATH_HOSTNAME: 'x.example.com' } });
    const { privateKey } = structuredClone(relaySettings(config, pair));
    assert.deepEqual(nodeKeyPair(Buffer.from(privateKey)).publicKey, pair.publicKey);
  });
});
