import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import fc from 'fast-check';
import { CheckResult } from '../../../src/transport/shared/send-watch.ts';
import { FinishDeadline } from '../../../src/transport/shared/finish-deadline.ts';

const { Moved, Still, Unknown } = CheckResult;
/** A period that is too long for the timers of the runtime: the test calls the checks. */
const NEVER_MS = 2 ** 40;
const ENDS = { local: { ip: '192.0.2.1', port: 443 }, peer: { ip: '192.0.2.2', port: 1 } };

/** Returns the number of checks after which the stream is aborted, or null. The deadline is after check `dueAfter`. */
function givenUpAfter(results: readonly CheckResult[], dueAfter: number): number | null {
  const giveUp = mock.fn();
  const isGivenUp = (): boolean => giveUp.mock.callCount() > 0;
  const finish = new FinishDeadline(ENDS, NEVER_MS, giveUp);
  try {
    finish.expired();
    for (const [at, result] of results.entries()) {
      if (at === dueAfter) finish.expired();
      if (isGivenUp()) return at;
      finish.checked(result);
      if (isGivenUp()) return at + 1;
    }
    if (dueAfter === results.length) finish.expired();
    return isGivenUp() ? results.length : null;
  } finally {
    finish.stop();
    assert.ok(giveUp.mock.callCount() <= 1, 'at most once');
  }
}

const times = (count: number, result: CheckResult): CheckResult[] => Array.from({ length: count }, () => result);

describe('the deadline of a stream that is being finished', () => {
  it('ends one whose peer takes nothing, exactly then', () => {
    assert.equal(givenUpAfter(times(10, Still), 4), 4);
  });

  it('waits for the first look when there was none', () => {
    assert.equal(givenUpAfter([Still], 0), 1);
    assert.equal(givenUpAfter([], 0), null);
  });

  it('ends one for which nothing waits, or of which the system does not tell', () => {
    assert.equal(givenUpAfter(times(10, Unknown), 4), 4);
    assert.equal(givenUpAfter([...times(6, Moved), Unknown, Moved], 2), 7);
  });

  it('leaves more time to one whose peer takes the rest', () => {
    assert.equal(givenUpAfter(times(100, Moved), 4), null);
    assert.equal(givenUpAfter([Moved, Still, Moved, ...times(10, Still)], 4), null);
  });

  it('does not take the buffers of two kernels for a peer that reads', () => {
    assert.equal(givenUpAfter([Moved, Still, Still], 3), 3);
  });

  it('ends one whose peer took some and then nothing for twenty looks', () => {
    assert.equal(givenUpAfter([Moved, Moved, ...times(30, Still)], 4), 22);
  });

  it('ends every one after 240 looks', () => {
    assert.equal(givenUpAfter(times(300, Moved), 4), 240);
    const result = fc.constantFrom(...Object.values(CheckResult));
    fc.assert(
      fc.property(fc.array(result, { minLength: 240, maxLength: 300 }), fc.nat(240), (results, dueAfter) => {
        const after = givenUpAfter(results, dueAfter);
        assert.ok(after !== null && after >= Math.min(dueAfter, 240) && after <= 241, `${after}`);
      }),
    );
  });
});
