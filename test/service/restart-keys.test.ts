import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { restartKeys } from '../../src/service/restart-keys.ts';

function withKeys(env: Readonly<Record<string, string>>): Config {
  return loadConfig({ env }).config;
}

test('the keys that need a restart are named, and those that a reload takes over are not', () => {
  const inUse = withKeys({});
  const applied = {
    TOWPATH_LOG_LEVEL: 'debug',
    TOWPATH_HOME_MODE: 'full',
    TOWPATH_FAIRNESS_TOTAL_BYTES_PER_SECOND: '1',
  };
  assert.deepEqual(restartKeys(inUse, withKeys(applied)), []);
  const waiting = { ...applied, TOWPATH_LOG_FORMAT: 'json', TOWPATH_THREADS: '3' };
  assert.deepEqual(restartKeys(inUse, withKeys(waiting)).sort(), ['log.format', 'threads']);
});
