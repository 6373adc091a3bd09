import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { bars, judge } from '../../bench/relay/bars.ts';
import { figureOf, notesOf } from '../../bench/relay/figures.ts';
import { readOptions } from '../../bench/relay/options.ts';
import { merged, type Results } from '../../bench/relay/results.ts';
import type { Run } from '../../bench/relay/rounds.ts';
import type { ServerName } from '../../bench/relay/server.ts';
import { formatSummary, summarize } from '../../bench/relay/statistics.ts';

function run(round: number, server: ServerName, cpuUs: number | null, more: Partial<Run> = {}): Run {
  const sample = { values: { cpuUs }, foreignShare: 0, notes: [] };
  return { round, case: 'closed', server, sample, error: null, seconds: 1, ...more };
}

suite('a summary', () => {
  test('lies between the lowest and the highest value, and half of the values on each side', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1 }), (values) => {
        const summary = summarize(values)!;
        assert.equal(summary.lowest, Math.min(...values));
        assert.equal(summary.highest, Math.max(...values));
        const below = values.filter((value) => value < summary.median).length;
        const above = values.filter((value) => value > summary.median).length;
        assert.ok(below <= values.length / 2 && above <= values.length / 2);
      }),
    );
  });

  test('of nothing is none, of one value is that value alone', () => {
    assert.equal(summarize([]), null);
    assert.equal(formatSummary(null, 2), '–');
    assert.equal(formatSummary(summarize([1.234]), 2), '1.23');
    assert.equal(formatSummary(summarize([3, 1, 2]), 1), '2.0 [1.0–3.0]');
  });
});

suite('a figure', () => {
  test('is compared inside its round only, and rounds without a base are left out', () => {
    const runs = [
      ...[run(0, 'derper', 4), run(0, 'node', 2), run(1, 'node', 100), run(2, 'derper', 10), run(2, 'node', 2)],
      run(3, 'derper', 0),
      run(3, 'node', 1),
    ];
    const { summary, ratio } = figureOf(runs, { name: 'closed' }, { key: 'cpuUs' }, 'node');
    assert.equal(summary?.count, 4);
    assert.deepEqual(ratio, { median: 0.35, lowest: 0.2, highest: 0.5, count: 2 });
  });

  test('is compared with another base where one is named', () => {
    const runs = [run(0, 'derper', 4), run(0, 'node', 3), run(0, 'node-before', 2)];
    assert.equal(figureOf(runs, { name: 'closed' }, { key: 'cpuUs' }, 'node').ratio?.median, 0.75);
    assert.equal(figureOf(runs, { name: 'closed' }, { key: 'cpuUs' }, 'node', 'node-before').ratio?.median, 1.5);
  });

  test('does not count failed runs, and says how many there were', () => {
    const runs = [run(0, 'node', 2, { error: 'it ended by itself' }), run(1, 'node', 3)];
    assert.equal(figureOf(runs, { name: 'closed' }, { key: 'cpuUs' }, 'node').summary?.median, 3);
    assert.deepEqual(notesOf(runs, { name: 'closed' }), ['failed, node: 1 of 2 runs']);
  });
});

suite('a bar', () => {
  const closed = bars.find((bar) => bar.case === 'closed')!;

  test('is judged by the median of the ratios', () => {
    const runs = [0.8, 0.85, 1.2].flatMap((ratio, round) => [run(round, 'derper', 1), run(round, 'node', ratio)]);
    assert.equal(judge(closed, 'node', runs)?.met, true);
    assert.equal(judge(closed, 'node', [...runs, run(3, 'derper', 1), run(3, 'node', 1.1)])?.met, false);
  });

  test('is not judged without a measurement', () => {
    assert.equal(judge(closed, 'bun', [run(0, 'derper', 1), run(0, 'node', 1)]), null);
  });
});

suite('results of several starts', () => {
  test('a later start replaces whole cases, and parts of which nothing is left go', () => {
    const machine = { date: '', cpu: '', cpus: 2, memoryGiB: 1, kernel: '', loadAverage: 0, versions: {} };
    const options = readOptions(['--full'], {})!;
    const part = (name: string): Results['parts'][number] => ({
      ...{ machine, options, cases: [name], seconds: 1 },
    });
    const first = { parts: [part('closed')], titles: { closed: 'old' }, runs: [run(0, 'node', 1), run(1, 'node', 2)] };
    const second = { parts: [part('closed')], titles: { closed: 'new' }, runs: [run(0, 'node', 9)] };
    const both = merged(first, second);
    assert.deepEqual(both.runs, second.runs);
    assert.equal(both.parts.length, 1);
    assert.equal(both.titles['closed'], 'new');
    const other = { parts: [part('paced')], titles: {}, runs: [run(0, 'node', 3, { case: 'paced' })] };
    assert.deepEqual(
      merged(both, other).runs.map((one) => one.case),
      ['closed', 'paced'],
    );
  });
});

suite('options of the benchmark', () => {
  test('short is what a bare start does, and --full or the environment changes that', () => {
    assert.equal(readOptions([], {})?.short, true);
    assert.equal(readOptions(['--full'], {})?.short, false);
    assert.equal(readOptions([], { TOWPATH_BENCH: 'full' })?.short, false);
    assert.equal(readOptions(['--short'], { TOWPATH_BENCH: 'full' })?.short, true);
  });

  test('a server or a number that is none is refused by name', () => {
    assert.throws(() => readOptions(['--servers', 'derper,go'], {}), /go/);
    assert.throws(() => readOptions(['--rounds', 'many'], {}), /rounds/);
  });
});
