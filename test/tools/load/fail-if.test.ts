import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { TowpathError } from '../../../src/base/errors.ts';
import { judge, parseCondition } from '../../../src/tools/load/fail-if.ts';
import { METRICS } from '../../../src/tools/load/metrics.ts';
import { exampleResult } from './support.ts';

function refused(text: string, message: RegExp, hint: RegExp): void {
  assert.throws(
    () => parseCondition(text, 'throughput'),
    (error) => {
      assert.ok(error instanceof TowpathError);
      assert.equal(error.code, 'TOWPATH_USAGE');
      assert.match(error.message, message);
      assert.match(error.hint ?? '', hint);
      return true;
    },
  );
}

/** A unit of each kind, with its value in the base unit of the kind. */
const UNITS = {
  share: ['%', 0.01],
  index: ['', 1],
  time: ['us', 0.001],
  count: ['k', 1000],
  rate: ['k/s', 1000],
  bits: ['Mbit/s', 1e6],
  bytes: ['MiB', 2 ** 20],
  flag: ['', 1],
} as const;

suite('--fail-if', () => {
  test('reads every metric with every comparison and blanks anywhere', () => {
    const blanks = fc.constantFrom('', ' ', '  ');
    fc.assert(
      fc.property(
        fc.constantFrom(...METRICS),
        fc.constantFrom('>', '>=', '<', '<=', '='),
        fc.integer({ min: 0, max: 1e6 }),
        fc.tuple(blanks, blanks, blanks, blanks),
        (metric, comparison, number, [a, b, c, d]) => {
          const [unit, factor] = UNITS[metric.kind];
          const text = `${a}${metric.name}${b}${comparison}${c}${number}${unit}${d}`;
          const condition = parseCondition(text, metric.scenarios[0]!);
          assert.deepEqual(
            [condition.metric.name, condition.comparison, condition.limit],
            [metric.name, comparison, number * factor],
          );
        },
      ),
    );
  });

  test('never throws anything but a usage error', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^(loss|p99|max) ?[<>=]+ ?[\d.]+[%a-z]*$/)), (text) => {
        try {
          parseCondition(text, 'throughput');
        } catch (error) {
          assert.ok(error instanceof TowpathError && error.code === 'TOWPATH_USAGE');
        }
      }),
    );
  });

  test('says what is wrong, and how it is written', () => {
    refused('99', /this is not a condition/, /"loss>0\.1%"/);
    refused('loss>many', /this is not a condition/, /NAME>LIMIT/);
    refused('losses>0', /"losses" is not measured by throughput/, /Known here: loss, lost, /);
    refused('jain<0.9', /"jain" is not measured by throughput/, /Known here/);
    refused('p99>5', /has no unit/, /5ms/);
    refused('p99>5%', /unit that does not fit p99 \("%"\)/, /5ms/);
    refused('loss', /has no limit/, /0\.1%/);
    refused('toString>1', /this is not a condition|not measured/, /./);
  });

  test('fails when the condition is true, and when it was not measured', () => {
    const result = exampleResult();
    const verdict = (text: string): boolean => judge(parseCondition(text, 'throughput'), result).failed;
    // 1 of 1000 packets is lost, p99 is 4 ms.
    assert.deepEqual(
      ['loss>0.1%', 'loss>=0.1%', 'loss<1%', 'lost=1', 'p99>5ms', 'p99>3.9ms', 'p99<=4000us', 'generator-limited'].map(
        verdict,
      ),
      [false, true, true, true, false, true, true, false],
    );
    const { failed, text } = judge(parseCondition('server-rss>1GiB', 'throughput'), result);
    assert.deepEqual([failed, text], [true, 'server-rss>1GiB: server-rss was not measured']);
  });
});
