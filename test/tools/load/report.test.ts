import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { jainIndex } from '../../../src/tools/load/collector.ts';
import { connectionsOf, refuseTooMany } from '../../../src/tools/load/descriptors.ts';
import { HEADLINES, htmlReport } from '../../../src/tools/load/html-report.ts';
import { METRICS, metricsOf } from '../../../src/tools/load/metrics.ts';
import { divide } from '../../../src/tools/load/plan.ts';
import { PLOT_FILES } from '../../../src/tools/load/plot-files.ts';
import { isSteady, plotsOf } from '../../../src/tools/load/plots.ts';
import { ProgressLine } from '../../../src/tools/load/progress.ts';
import { BYTES, COUNTS } from '../../../src/tools/load/scale.ts';
import type { LoadResult } from '../../../src/tools/load/result.ts';
import { settingsOf } from '../../../src/tools/load/settings.ts';
import { summaryText } from '../../../src/tools/load/summary.ts';
import { isLoopback } from '../../../src/base/ip-address.ts';
import { refusal } from '../../client/support.ts';
import { examplePlan, exampleResult } from './support.ts';

const URL_OF_RELAY = 'http://127.0.0.1:1/derp';

suite('reports', () => {
  test('the page has a plot of what was measured, the verdicts, and no markup from elsewhere', () => {
    const connectionErrors = [{ code: 'X', message: '</script><i>&"', hint: '', count: 2 }];
    const verdict = { condition: 'loss>0', value: 0.001, failed: true, text: 'loss>0: loss is 0.1 %' };
    const page = htmlReport(exampleResult({ connectionErrors }), [verdict]);
    assert.match(page, /<li class="failed">✗ loss&gt;0: loss is 0\.1 %<\/li>/);
    assert.match(page, /2 × &lt;\/script&gt;&lt;i&gt;&amp;&quot;/);
    assert.doesNotMatch(page, /<i>/);
    assert.match(page, /<figure aria-label="Packets per second"><figcaption>/);
    assert.match(page, /<b>Connections<\/b> open 4, lost 0, all the time/);
    assert.doesNotMatch(page, /Memory of the relay</);
    assert.match(page, /Failed: 1 of 1 --fail-if conditions true/);
    assert.match(page, /<dt>delivered<\/dt><dd>799\.2 kbit\/s<\/dd>/);
    assert.match(page, /2 pairs, packets of 200 B/);
    assert.match(page, /2026-11-24 12:00:00 UTC, by towpath on an example/);
    // The policy allows the one script that draws the plots; the other holds JSON.
    assert.equal(page.match(/<script/g)?.length, 2);
    const hash = createHash('sha256')
      .update(/<script>([\s\S]*)<\/script>/.exec(page)![1]!)
      .digest('base64');
    assert.ok(page.includes(`script-src 'sha256-${hash}'`));
    assert.equal(PLOT_FILES.scriptHash, `sha256-${hash}`);
  });

  test('the page of two classes has a plot and a column for each, and shares the rows about both', () => {
    const [pairs] = exampleResult().classes;
    const point = exampleResult().timeline[0]!;
    const names = ['polite', 'greedy'] as const;
    const page = htmlReport(
      exampleResult({
        plan: examplePlan(URL_OF_RELAY, { scenario: 'fairness' }),
        classes: names.map((name) => ({ ...pairs!, name })),
        timeline: [1, 2].map((atSeconds) => ({
          ...point,
          atSeconds,
          classes: names.map((name) => ({ ...point.classes[0]!, name, deliveredPerSecond: atSeconds })),
        })),
      }),
      [],
    );
    for (const name of names) assert.match(page, new RegExp(`aria-label="Packets per second, ${name} pairs"`));
    assert.match(page, /<th>polite<\/th><th>greedy<\/th>/);
    assert.match(page, /<th scope="row">login<\/th><td colspan="2">/);
    assert.match(page, /<dt>greedy Jain&#39;s index<\/dt><dd>1\.0000<\/dd>/);
    assert.doesNotMatch(page, /--fail-if/);
  });

  test('every headline of a scenario is one of its metrics', () => {
    const scenarios = ['throughput', 'latency', 'fairness', 'slow', 'connections'] as const;
    for (const scenario of scenarios) {
      const names = metricsOf(scenario).map(({ name }) => name);
      for (const [name] of HEADLINES[scenario]) assert.ok(names.includes(name), `${name} of ${scenario}`);
    }
  });

  test('the summary says when the generator was the limit', () => {
    const generator = { ...exampleResult().generator, limits: ['a worker used 99 % of a CPU'] };
    assert.match(summaryText(exampleResult({ generator }), []), /^! The generator may have limited .* 99 % of a CPU/m);
    assert.doesNotMatch(summaryText(exampleResult(), []), /^!/m);
  });

  test('the axis of a plot has whole numbers of things, and binary units of memory', () => {
    assert.deepEqual(COUNTS.steps!.slice(0, 4), [1, 2, 5, 10]);
    assert.deepEqual([BYTES.steps![0], BYTES.steps!.at(-1)], [2 ** 10, 2 ** 44]);
  });

  test('the JSON in the page is enough for the plots; what was not measured has none', () => {
    const page = htmlReport(exampleResult(), []);
    const json = /<script type="application\/json" id="result">([\s\S]*?)<\/script>/.exec(page)![1]!;
    const plots = plotsOf(JSON.parse(json) as LoadResult);
    assert.deepEqual(plots, plotsOf(exampleResult()));
    const drawn = plots.filter((plot) => !isSteady(plot));
    assert.deepEqual(
      drawn.map(({ title }) => title),
      [...page.matchAll(/<figure aria-label="(.+?)"/g)].map((match) => match[1]),
    );
    const [packets] = plots;
    assert.deepEqual(packets!.seconds, [0.5, 1, 1.5, 2]);
    assert.deepEqual(packets!.series[0], { name: 'delivered', values: [400, 500, 510, 490] });
    const titles = plots.map(({ title }) => title);
    assert.ok(titles.includes('CPU, 100 % being one core'));
    assert.ok(!titles.includes('Round trip of a Ping') && !titles.includes('Memory of the relay'));
    assert.deepEqual(plotsOf({ ...exampleResult(), timeline: exampleResult().timeline.slice(0, 1) }), []);
  });

  test('the settings of a run are told without its command line', () => {
    const target = { ...examplePlan(URL_OF_RELAY).target, url: 'https://relay.example/derp' };
    const group = { className: 'greedy', pairs: 3, packetBytes: 1000, sending: { kind: 'flood' } } as const;
    const stalled = { receivers: 20, packetBytes: 1000, packetsPerSecond: 1000 };
    const plan = examplePlan('', { target, groups: [group], stalled, workers: 2, coalesce: 11, warmUpMs: 500 });
    assert.deepEqual(settingsOf(plan), [
      '3 greedy pairs, packets of 1000 B, as fast as their connections take them',
      '20 receivers that do not read, sent 8.0 Mbit/s together',
      '11 packets in each write',
      'DERP over TLS, certificate not checked',
      'warm-up 0.5 s, measured for 1 s, 2 workers',
    ]);
    const rate = settingsOf(examplePlan(URL_OF_RELAY));
    assert.equal(rate[0], '2 pairs, packets of 200 B, 100/s (160.0 kbit/s) each');
    const churn = { pattern: 'churn', connections: 50, perSecond: 5 } as const;
    const [first] = settingsOf(examplePlan(URL_OF_RELAY, { groups: [], connections: churn }));
    assert.equal(first, '50 connections, the oldest replaced 5 a second');
  });

  test('progress is one line that is rewritten, and nothing without a terminal', () => {
    let text = '';
    const terminal = { columns: 120, write: (more: string) => (text += more) };
    const line = new ProgressLine(examplePlan(URL_OF_RELAY), terminal);
    line.point(exampleResult().timeline[3]!);
    line.clear();
    assert.match(text, /^\r\u001b\[K\[█+ *\] 2\/1 s {2}490\/s 784\.0 kbit\/s p99 4\.00 ms {2}loss 0\.1 %\r\u001b\[K$/);
    text = '';
    terminal.columns = 40;
    line.point(exampleResult().timeline[3]!);
    // The last column stays empty, and a cut text is marked.
    assert.match(text, /^\r\u001b\[K\[█+ *\] 2\/1 s {2}490\/s 78…$/);
    assert.equal(Array.from(text.slice(4)).length, 39);
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
        // With two threads, no thread has both polite and greedy pairs.
        const isShared = parts.some((part) => part.groups[0]!.pairs > 0 && (part.groups[1]?.pairs ?? 0) > 0);
        assert.ok(workers === 1 || !isShared);
        // Each number of a pair is used once.
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
  const text = readFileSync(new URL('../../../docs/load.md', import.meta.url), 'utf8');
  const table = text.slice(text.indexOf('| Metric'), text.indexOf('In `fairness` and `slow`'));
  const names = [...table.matchAll(/^\| `(.+?)`/gm)].map((match) => match[1]);
  assert.deepEqual(
    names,
    METRICS.map(({ name }) => name),
  );
});
