import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HEAVY_PERIOD_MS, HEAVY_TURN_BYTES, PauseRule } from '../../../src/relay/udp/pause-rule.ts';

describe('PauseRule', () => {
  it('never pauses after the first turn, nor after one that follows a long wait', () => {
    const rule = new PauseRule();
    assert.equal(rule.after(1000, HEAVY_TURN_BYTES), false);
    assert.equal(rule.after(1000 + HEAVY_PERIOD_MS, HEAVY_TURN_BYTES), false);
  });

  it('pauses after a turn with many bytes that follows another one at once', () => {
    const rule = new PauseRule();
    rule.after(1000, 10);
    assert.equal(rule.after(1000 + HEAVY_PERIOD_MS / 2, HEAVY_TURN_BYTES), true);
    assert.equal(rule.after(1000 + HEAVY_PERIOD_MS, HEAVY_TURN_BYTES - 1), false);
    assert.equal(rule.after(1000 + HEAVY_PERIOD_MS * 1.5, HEAVY_TURN_BYTES), true);
  });
});
