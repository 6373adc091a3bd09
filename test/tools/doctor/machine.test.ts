import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openFileLimit } from '../../../src/base/open-files.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { fileLimitCheck } from '../../../src/tools/doctor/machine.ts';

const limit = openFileLimit('self');

test(
  'a few descriptors too few are a warning, half of them a failure',
  { skip: !Number.isFinite(limit ?? Infinity) },
  () => {
    const status = (connections: number): string => {
      const { config } = loadConfig({ values: { limits: { connections } } });
      return fileLimitCheck(config, 'none').status;
    };
    assert.equal(status(limit! - 100), 'ok');
    assert.equal(status(limit!), 'warning');
    assert.equal(status(limit! * 2), 'failed');
  },
);
