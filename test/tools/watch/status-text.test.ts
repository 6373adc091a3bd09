import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatRate } from '../../../src/tools/watch/status-text.ts';

test('a rate is in bits, or a dash while it is not known', () => {
  assert.deepEqual([null, 0, 125_000].map(formatRate), ['–', '0.0 kbit/s', '1.0 Mbit/s']);
});
