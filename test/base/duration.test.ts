import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDuration } from '../../src/base/duration.ts';

test('an age has its two largest units', () => {
  const ages = [0, 0.4, 59, 60, 61, 3600, 3660, 90_061].map(formatDuration);
  assert.deepEqual(ages, ['0 s', '0 s', '59 s', '1 min', '1 min 1 s', '1 h', '1 h 1 min', '1 d 1 h']);
});
