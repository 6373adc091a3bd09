import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';

test('cluster.valkey is a URL without a password, and a password needs it', () => {
  const load = (env: Record<string, string>) => loadConfig({ env }).config.cluster;
  for (const url of [
    'redis://valkey:6379',
    'rediss://10.0.0.1:6380/2',
    'valkey://v',
    'unix:///run/valkey/valkey.sock',
  ]) {
    assert.equal(load({ TOWPATH_CLUSTER_VALKEY: url }).valkey, url);
  }
  for (const url of ['redis://:secret@valkey:6379', 'http://valkey', 'unix://relative', 'valkey:6379']) {
    assert.throws(() => load({ TOWPATH_CLUSTER_VALKEY: url }), /cluster\.valkey: .*allowed: redis:\/\//);
  }
  assert.throws(() => load({ TOWPATH_CLUSTER_PASSWORD_FILE: '/x' }), /passwordFile: needs cluster\.valkey/);
});
