import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { CONNECTION_SORTS, type ConnectionRow } from '../../../src/api/shapes.ts';
import {
  connectionPage,
  connectionQueryText,
  readConnectionQuery,
} from '../../../src/service/status/connection-list.ts';
import { History, type HistoryPoint } from '../../../src/service/status/history.ts';
import { RateMeter } from '../../../src/service/status/rate-meter.ts';
import { RefusalHistory } from '../../../src/service/status/refusal-history.ts';
import { HISTORY_COLUMNS } from '../../../src/api/shapes.ts';

function row(number: number, fields: Partial<ConnectionRow> = {}): ConnectionRow {
  const traffic = { bytes: number % 7, packets: 1, bytesPerSecond: number % 5 };
  return {
    ...{ id: String(number), thread: 0, key: `nodekey:${String(number).padStart(64, '0')}`, shortKey: `[${number}]` },
    ...{ name: null, owner: null, tier: null, state: 'open', ip: `192.0.2.${number % 250}`, port: number },
    ...{ isBehindProxy: false, isWebSocket: false, since: '', ageSeconds: number, isHome: false, isDuplicate: false },
    ...{ app: '', admittedBy: '', received: traffic, sent: traffic, drops: {}, droppedPackets: 0, queuedBytes: 0 },
    ...fields,
  };
}

suite('the list of connections', () => {
  test('every page of every order together has each connection once', () => {
    const orders = fc.constantFrom(...CONNECTION_SORTS.flatMap((name) => [name, `-${name}`]));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 20 }), orders, (count, size, sort) => {
        const rows = Array.from({ length: count }, (_, i) => row(i));
        const ids: string[] = [];
        for (let page = 1; page <= Math.max(1, Math.ceil(count / size)); page++) {
          const query = readConnectionQuery(new URLSearchParams({ sort, page: String(page), size: String(size) }));
          assert.ok(typeof query !== 'string');
          const answer = connectionPage(rows, query);
          assert.deepEqual([answer.total, answer.matching, answer.page], [count, count, page]);
          ids.push(...answer.rows.map(({ id }) => id));
        }
        assert.deepEqual(
          ids.map(Number).sort((a, b) => a - b),
          rows.map((_, i) => i),
        );
      }),
    );
  });

  test('is found by name, owner, key, address and application', () => {
    const rows = [
      row(1, { name: 'Laptop.example' }),
      row(2, { owner: 'ann@example' }),
      row(3, { app: 'proxy' }),
      row(4),
    ];
    const find = (search: string): string[] => {
      const query = readConnectionQuery(new URLSearchParams({ search, sort: 'key' }));
      assert.ok(typeof query !== 'string');
      return connectionPage(rows, query).rows.map(({ id }) => id);
    };
    assert.deepEqual(find('LAPTOP'), ['1']);
    assert.deepEqual(find('ann@'), ['2']);
    assert.deepEqual(find('proxy'), ['3']);
    assert.deepEqual(find(`nodekey:${'4'.padStart(64, '0')}`), ['4']);
    assert.deepEqual(find('192.0.2.4'), ['4']);
    assert.deepEqual(find('192.0.2.'), ['1', '2', '3', '4']);
    assert.deepEqual(find('nobody'), []);
  });

  test('a query is the same after it was written and read again', () => {
    const query = readConnectionQuery(new URLSearchParams('search=a%26b&sort=-drops&page=3&size=7'));
    assert.ok(typeof query !== 'string');
    assert.deepEqual(readConnectionQuery(new URLSearchParams(connectionQueryText(query))), query);
  });
});

test('the history keeps the last hour, the oldest first', () => {
  const history = new History();
  const point = (value: number): HistoryPoint =>
    Object.fromEntries(HISTORY_COLUMNS.map((name) => [name, value])) as HistoryPoint;
  for (let i = 0; i < 800; i++) history.add(i * 5, point(i));
  const { time, columns } = history.answer();
  assert.deepEqual([time.length, time[0], time.at(-1)], [720, 400, 3995]);
  assert.deepEqual([columns.connections[0], columns.connections.at(-1)], [80, 799]);
});

test('rates are over the last samples, and unknown before there are two', () => {
  const meter = new RateMeter<'bytes'>();
  assert.equal(meter.rates(), null);
  meter.sample(0, { bytes: 0 });
  assert.equal(meter.rates(), null);
  for (let i = 1; i <= 20; i++) meter.sample(i * 1000, { bytes: i <= 14 ? 0 : (i - 14) * 500 });
  assert.deepEqual(meter.rates(), { bytes: 500 });
});

test('refusals are counted by minute for an hour, with bounded examples', () => {
  let now = 5 * 60_000;
  const history = new RefusalHistory(() => now);
  for (let i = 0; i < 100; i++) history.add('tls_error', '192.0.2.1', null, 'x'.repeat(1000));
  now += 60_000;
  history.add('tls_error', '192.0.2.2', Buffer.alloc(32, 1), 'the last');
  const [reason] = history.answer().reasons;
  assert.deepEqual([reason?.count, reason?.perMinute.slice(-2)], [101, [100, 1]]);
  assert.deepEqual(
    [reason?.last.length, reason?.last[0]?.detail, reason?.last[1]?.detail.length],
    [10, 'the last', 300],
  );
  now += 59 * 60_000;
  assert.equal(history.answer().total, 1);
  now += 60_000;
  assert.deepEqual(history.answer().reasons, []);
});
