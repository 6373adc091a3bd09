import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Health } from '../../src/observe/health.ts';

it('health is ready without problems, names them sorted, and tells of changes once', () => {
  const health = new Health();
  let told = 0;
  const stop = health.onChange(() => told++);
  assert.ok(health.ready);
  assert.equal(health.set('stun', null), false);
  assert.equal(health.set('stun', 'cannot send'), true);
  assert.equal(health.set('stun', 'cannot send'), false);
  assert.equal(health.set('certificate', 'expired'), true);
  assert.deepEqual(health.problems(), [
    { name: 'certificate', problem: 'expired' },
    { name: 'stun', problem: 'cannot send' },
  ]);
  assert.ok(!health.ready);
  stop();
  health.set('stun', null);
  health.set('certificate', null);
  assert.ok(health.ready);
  assert.equal(told, 2);
});
