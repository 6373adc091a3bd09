import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { retryAfterMs } from '../../src/tailnet/retry-after.ts';

const NOW = Date.UTC(2026, 10, 28, 2, 0, 0);
const at = (seconds: number): string => new Date(NOW + seconds * 1000).toUTCString();

describe('the pause that a control server asks for (addendum E3)', () => {
  for (const status of [429, 503]) {
    it(`with ${status} is in seconds or a date, at most five minutes`, () => {
      assert.equal(retryAfterMs('7', status, NOW), 7000);
      assert.equal(retryAfterMs(at(90), status, NOW), 90_000);
      assert.equal(retryAfterMs('3600', status, NOW), 300_000);
      assert.equal(retryAfterMs(at(1800), status, NOW), 300_000);
    });

    it(`with ${status} is 5 to 10 s when it is past, not credible, or cannot be read`, () => {
      for (const header of ['0', '-3', '3601', at(-60), at(7200), 'soon', '']) {
        const pause = retryAfterMs(header, status, NOW);
        assert.ok(pause !== null && pause >= 5000 && pause <= 10_000, `${header}: ${pause}`);
      }
    });
  }

  it('without the header is the usual back-off for 503 alone', () => {
    assert.equal(retryAfterMs(undefined, 503, NOW), null);
    const pause = retryAfterMs(undefined, 429, NOW);
    assert.ok(pause !== null && pause >= 5000 && pause <= 10_000);
  });
});
