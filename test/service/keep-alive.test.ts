import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { keepAlivePeriods } from '../../src/service/exposure.ts';

describe('keep-alive', () => {
  it('comes every 25 s behind a proxy, and every minute else', () => {
    const tls = loadConfig({ env: { TOWPATH_HOSTNAME: 'x.example.com' } }).config;
    assert.deepEqual(keepAlivePeriods(tls), { keepAliveMs: 60_000, keepAliveBehindProxyMs: 25_000 });
    const plain = { ...tls, transport: 'plain' } as const;
    assert.deepEqual(keepAlivePeriods(plain), { keepAliveMs: 25_000, keepAliveBehindProxyMs: 25_000 });
  });
});
