import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callTree, type CpuProfile } from '../../bench/flame/profile.ts';
import { speedscopeFile } from '../../bench/flame/speedscope.ts';

const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 0 });
const PROFILE: CpuProfile = {
  nodes: [
    { id: 1, callFrame: frame('(root)'), children: [2, 4] },
    { id: 2, callFrame: frame('read', 'file:///relay/src/a.ts'), children: [3] },
    { id: 3, callFrame: frame('route', 'file:///relay/src/b.ts') },
    { id: 4, callFrame: frame('(idle)') },
  ],
  samples: [2, 3, 4, 3],
  timeDeltas: [0, 10, 20, 400, 30],
};

test('a profile for speedscope has each stack once, with its self time, and no idle time', () => {
  const file = speedscopeFile(callTree(PROFILE, '/relay'), 'a title');
  assert.deepEqual(file.shared.frames, [{ name: 'read src/a.ts:1' }, { name: 'route src/b.ts:1' }]);
  assert.deepEqual(file.profiles, [
    {
      ...{ type: 'sampled', name: 'a title', unit: 'microseconds', startValue: 0, endValue: 60 },
      ...{ samples: [[0], [0, 1]], weights: [10, 50] },
    },
  ]);
});
