import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { jainIndex } from '../../src/load/collector.ts';
import { connectionsOf, refuseTooMany } from '../../src/load/descriptors.ts';
import { htmlReport } from '../../src/load/html-report.ts';
import { METRICS } from '../../src/load/metrics.ts';
import { divide } from '../../src/load/plan.ts';
import { niceCeiling, plot } from '../../src/load/plot.ts';
import { ProgressLine } from '../../src/load/progress.ts';
import { summaryText } from '../../src/load/summary.ts';
import { isLoopback } from '../../src/wire/ip-address.ts';
import { refusal } from '../client/support.ts';
import { examplePlan, exampleResult } from './support.ts';

const URL_OF_RELAY = 'http://127.0.0.1:1/derp';

suite('reports', () => {
  test('the page has a plot of what was measured, the verdicts, and no markup from elsewhere', () => {
    const troubles = [{ code: 'X', message: '</script><b>&"', hint: '', count: 2 }];
    const verdict = { condition: 'loss>0', value: 0.001, failed: true, text: 'loss>0: loss is 0.1 %' };
    const page = htmlReport(exampleResult({ troubles }), [verdict]);
    assert.match(page, /<li class="failed">✗ loss&gt;0: loss is 0\.1 %<\/li>/);
    assert.match(page, /2 × &lt;\/script&gt;&lt;b&gt;&amp;&quot;/);
    assert.doesNotMatch(page, /<b>/);
    // The values of the timeline, the largest one below the top of the axis.
    assert.match(page, /aria-label="Packets per second".*<path class="s1" d="M\d+\.?\d* \d+\.?\d*L/);
    assert.doesNotMatch(page, /aria-label="Memory of the relay"/);
    assert.equal(page.match(/<script/g)?.length, 1);
  });

  test('the summary says when the generator was the limit', () => {
    const generator = { ...exampleResult().generator, limits: ['a worker used 99 % of a CPU'] };
    assert.match(summaryText(exampleResult({ generator }), []), /^! The generator may have limited .* 99 % of a CPU/m);
    assert.doesNotMatch(summaryText(exampleResult(), []), /^!/m);
  });

  test('the axis of a plot ends at or above its largest value', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-9, max: 1e15, noNaN: true }), (value) => {
        const most = niceCeiling(value);
        assert.ok(most >= value * (1 - 1e-12) && most <= value * 2.5 * (1 + 1e-12), `${most} for ${value}`);
      }),
    );
  });

  test('a plot leaves out what was not measured', () => {
    const shared = { title: 'T', format: String, seconds: [1, 2, 3], warmUpSeconds: 1 };
    assert.equal(plot({ ...shared, series: [{ name: 'a', values: [null, null, null] }] }), '');
    const drawn = plot({ ...shared, series: [{ name: 'a', values: [1, null, 2] }] });
    assert.equal(/d="(.*?)"/.exec(drawn)?.[1]?.match(/M/g)?.length, 2);
  });

  test('progress is one line that is rewritten, and nothing without a terminal', () => {
    let text = '';
    const line = new ProgressLine(examplePlan(URL_OF_RELAY), (more) => (text += more));
    line.point(exampleResult().timeline[3]!);
    line.clear();
    assert.match(text, /^\r\u001b\[K\[█+ *\] 2\/1 s {2}490\/s 784\.0 kbit\/s p99 4\.00 ms {2}loss 0\.1 %\r\u001b\[K$/);
    const silent = new ProgressLine(examplePlan(URL_OF_RELAY), null);
    silent.opening(1);
    silent.point(exampleResult().timeline[3]!);
    silent.clear();
  });
});

suite('a plan', () => {
  test('is divided among its workers without a rest', () => {
    const number = fc.integer({ min: 1, max: 500 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), number, number, fc.boolean(), (workers, polite, greedy, mixed) => {
        const sending = { kind: 'flood' } as const;
        const groups = [
          { className: 'polite', pairs: polite, packetBytes: 100, sending } as const,
          ...(mixed ? [{ className: 'greedy', pairs: greedy, packetBytes: 100, sending } as const] : []),
        ];
        const stalled = { receivers: greedy, packetBytes: 100, packetsPerSecond: 50 };
        const parts = divide(examplePlan(URL_OF_RELAY, { workers, groups, stalled }));
        const sum = (value: (part: (typeof parts)[number]) => number): number =>
          parts.reduce((total, part) => total + value(part), 0);
        assert.equal(
          sum((part) => part.groups[0]!.pairs),
          polite,
        );
        if (mixed)
          assert.equal(
            sum((part) => part.groups[1]!.pairs),
            greedy,
          );
        assert.equal(
          sum((part) => part.stalled!.receivers),
          greedy,
        );
        assert.ok(Math.abs(sum((part) => part.stalled!.packetsPerSecond) - 50) < 1e-6);
        // No thread has polite and greedy pairs, where there are two.
        const isShared = parts.some((part) => part.groups[0]!.pairs > 0 && (part.groups[1]?.pairs ?? 0) > 0);
        assert.ok(workers === 1 || !isShared);
        // Numbers of pairs are not used twice.
        let next = 0;
        for (const { firstPair, groups: own } of parts) {
          assert.equal(firstPair, next);
          next += own.reduce((total, { pairs }) => total + pairs, 0);
        }
      }),
    );
  });

  test('that needs more open files than are allowed is refused with what to do', () => {
    const plan = examplePlan(URL_OF_RELAY, { stalled: { receivers: 5000, packetBytes: 100, packetsPerSecond: 1 } });
    assert.equal(connectionsOf(plan), 5005);
    assert.throws(
      () => refuseTooMany(plan, 1024),
      (error: Error & { hint?: string }) => {
        assert.match(error.hint ?? '', /^Run "ulimit -n 5101"/);
        return refusal('TOWPATH_USAGE', /5005 connections need 5101 open files, and this process may have 1024/)(error);
      },
    );
    refuseTooMany(plan, 5101);
  });
});

test('only addresses of this machine are loopback', () => {
  for (const ip of ['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1']) assert.equal(isLoopback(ip), true, ip);
  for (const ip of ['128.0.0.1', '10.0.0.1', '::', '0.0.0.0', '::2', '127.example', '::ffff:10.0.0.1']) {
    assert.equal(isLoopback(ip), false, ip);
  }
});

test("Jain's index is 1 for equal parts and 1/n when one has all", () => {
  assert.deepEqual([[5, 5, 5, 5], [8, 0, 0, 0], [0, 0], []].map(jainIndex), [1, 0.25, null, null]);
});

test('docs/load.md names every metric, and no other', () => {
  const text = readFileSync(new URL('../../docs/load.md', import.meta.url), 'utf8');
  const table = text.slice(text.indexOf('| Metric'), text.indexOf('In `fairness` and `slow`'));
  const names = [...table.matchAll(/^\| `(.+?)`/gm)].map((match) => match[1]);
  assert.deepEqual(
    names,
    METRICS.map(({ name }) => name),
  );
});
