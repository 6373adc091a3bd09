import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changedKeys } from '../../src/config/changed-keys.ts';

test('changed keys are named as dotted paths, lists as one value, and never with their values', () => {
  const before = { log: { level: 'info', format: 'json' }, listen: [{ port: 1 }], admission: { token: 'secret' } };
  const after = { log: { level: 'debug', format: 'json' }, listen: [{ port: 2 }], admission: null, http: 'off' };
  assert.deepEqual(changedKeys(before, after), ['log.level', 'listen', 'admission', 'http']);
  assert.deepEqual(changedKeys(before, structuredClone(before)), []);
});
