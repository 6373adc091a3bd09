import assert from 'node:assert/strict';
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import { Accounting } from '../../src/accounting/accounting.ts';
import { exportTraffic } from '../../src/accounting/export.ts';
import { readTraffic, STORE_FILE, TrafficStore } from '../../src/accounting/traffic-store.ts';
import { dayOf, Usage } from '../../src/accounting/usage.ts';
import { openSqlite } from '../../src/system/sqlite.ts';
import { writeMonth } from './month.ts';
import { listOf, row, rowsOf, scratch } from './support.ts';
import { hexKey } from './support-keys.ts';

const DAY = '2026-11-27';
const folder = scratch();
let files = 0;

function newFile(): string {
  return path.join(folder, String(files++), STORE_FILE);
}

class Log {
  readonly lines: string[] = [];
  readonly info = (_fields: object, message: string): unknown => this.lines.push(message);
  readonly warn = (fields: object, message: string): unknown =>
    this.lines.push(`${message}: ${(fields as { error: string }).error}`);
}

suite('the store of traffic', () => {
  test('adds up by day, key and path, and is read in order', async () => {
    const file = newFile();
    const store = await TrafficStore.open(file);
    store.add([row(DAY, 2, 10), row(DAY, 1, 5), row('2026-11-26', 1, 7)]);
    store.add([row(DAY, 1, 6), row(DAY, 1, 1, 'udp')]);
    const rows = await rowsOf(file);
    assert.deepEqual(
      rows.map(({ day, key, path: way, sentBytes, sentPackets }) => [day.slice(8), key, way, sentBytes, sentPackets]),
      [
        ['26', hexKey(1), 'derp', 7, 1],
        ['27', hexKey(1), 'derp', 11, 2],
        ['27', hexKey(1), 'udp', 1, 1],
        ['27', hexKey(2), 'derp', 10, 1],
      ],
    );
    assert.deepEqual((await rowsOf(file, DAY, DAY)).length, 3);
    store.close();
  });

  test('tells what keys have used in a day and its month, after it was opened again', async () => {
    const file = newFile();
    const first = await TrafficStore.open(file);
    first.add([row(DAY, 1, 5), row(DAY, 1, 2, 'udp'), row('2026-11-01', 1, 100), row('2026-10-31', 1, 1000)]);
    first.close();
    const second = await TrafficStore.open(file);
    assert.deepEqual(second.used(DAY), [{ key: hexKey(1), dayBytes: 7, monthBytes: 107 }]);
    second.forgetBefore('2026-11-01');
    assert.equal((await rowsOf(file)).length, 3);
    second.close();
  });

  test('a count beyond 32 bits stays exact, and a row that cannot be written takes the others with it', async () => {
    const file = newFile();
    const store = await TrafficStore.open(file);
    store.add([row(DAY, 1, 2 ** 40 + 1)]);
    assert.throws(() => store.add([row(DAY, 2, 1), { ...row(DAY, 3, 1), day: null as unknown as string }]));
    store.add([row(DAY, 1, 2 ** 40)]);
    assert.deepEqual(
      (await rowsOf(file)).map(({ sentBytes }) => sentBytes),
      [2 ** 41 + 1],
    );
    store.close();
  });

  test('is for its own user, and says what is wrong when it is of a newer version or is not there', async () => {
    const file = newFile();
    (await TrafficStore.open(file)).close();
    assert.equal(statSync(path.dirname(file)).mode & 0o777, 0o700);
    const database = await openSqlite(file, false);
    database.exec('PRAGMA user_version = 9');
    database.close();
    await assert.rejects(TrafficStore.open(file), /of a newer towpath \(version 9 of its tables\)/);
    await assert.rejects(readTraffic(newFile(), DAY, DAY).next(), { code: 'TOWPATH_ACCOUNTING_UNREADABLE' });
  });
});

suite('accounting', () => {
  test('goes on in memory while the disk cannot be written, says so once, and writes all of it later', async () => {
    const directory = path.join(folder, String(files++));
    writeFileSync(directory, 'a file where the folder should be');
    const log = new Log();
    const accounting = new Accounting({ enabled: true, directory, keepDays: 400, flushSeconds: 10 }, log);
    const today = dayOf(Date.now());
    for (let i = 0; i < 3; i++) {
      accounting.add(row(today, 1, 10));
      await accounting.flush();
    }
    assert.equal(log.lines.length, 1, log.lines.join());
    assert.match(
      log.lines[0]!,
      /cannot be written to the disk; it continues in memory only: .*(EEXIST|ENOTDIR|not a directory)/,
    );
    rmSync(directory);
    await accounting.flush();
    assert.match(log.lines[1]!, /written to the disk again/);
    await accounting.close(true);
    assert.deepEqual(
      (await rowsOf(path.join(directory, STORE_FILE))).map(({ sentBytes }) => sentBytes),
      [30],
    );
  });

  test('says what to do about a file that is no database, and goes on when it is gone', async () => {
    const directory = path.join(folder, String(files++));
    mkdirSync(directory);
    writeFileSync(path.join(directory, STORE_FILE), 'no database'.repeat(1000));
    const log = new Log();
    const accounting = new Accounting({ enabled: true, directory, keepDays: 400, flushSeconds: 10 }, log);
    accounting.add(row(dayOf(Date.now()), 1, 10));
    await accounting.flush();
    assert.match(log.lines[0]!, /not a database/);
    rmSync(path.join(directory, STORE_FILE));
    await accounting.flush();
    await accounting.close(true);
    assert.equal((await rowsOf(path.join(directory, STORE_FILE))).length, 1);
  });

  test('forgets what is older than it keeps', async () => {
    const directory = path.join(folder, String(files++));
    const accounting = new Accounting({ enabled: true, directory, keepDays: 2, flushSeconds: 10 }, new Log());
    const days = [0, 1, 3].map((ago) => dayOf(Date.now() - ago * 86_400_000));
    for (const day of days) accounting.add(row(day, 1, 10));
    await accounting.flush();
    assert.deepEqual(await accounting.used(days[0]!).then((used) => used?.[0]?.dayBytes), 10);
    await accounting.close(true);
    assert.equal((await rowsOf(path.join(directory, STORE_FILE))).length, 2);
  });

  test('loses nothing that was acknowledged when its process is killed, and no day is half there', async () => {
    const directory = path.join(folder, String(files++));
    const { acknowledged, kept } = await writeMonth(directory, { keys: 40, days: 31, killAfter: 3 });
    assert.ok(acknowledged >= 3 && kept < 31, `${acknowledged} and ${kept}`);
  });
});

test('an export is CSV with a line of names, or a list in JSON', async () => {
  const file = newFile();
  const store = await TrafficStore.open(file);
  store.add([row(DAY, 1, 5), row(DAY, 2, 6, 'udp')]);
  store.close();
  const text = async (format: 'csv' | 'json'): Promise<string> =>
    (await listOf(exportTraffic(readTraffic(file, DAY, DAY), format))).join('');
  const lines = [
    'day,key,path,sent_bytes,sent_packets,received_bytes,received_packets',
    `${DAY},nodekey:${hexKey(1)},derp,5,1,10,2`,
    `${DAY},nodekey:${hexKey(2)},udp,6,1,12,2`,
    '',
  ];
  assert.equal(await text('csv'), lines.join('\r\n'));
  const [first, second] = JSON.parse(await text('json')) as Record<string, unknown>[];
  assert.deepEqual([first?.['sent_bytes'], second?.['path']], [5, 'udp']);
  assert.deepEqual(
    JSON.parse((await listOf(exportTraffic(readTraffic(file, '2000-01-01', '2000-01-01'), 'json'))).join('')),
    [],
  );
});

suite('usage in memory', () => {
  test('begins anew with each day and month', () => {
    const usage = new Usage('2026-11-29');
    usage.add('a', 5);
    usage.adopt('a', { dayBytes: 0, monthBytes: 100 });
    usage.adopt('a', { dayBytes: 0, monthBytes: 90 });
    usage.setOthers('a', 1, 2);
    assert.deepEqual(
      [usage.own('a'), usage.total('a')],
      [
        { dayBytes: 5, monthBytes: 105 },
        { dayBytes: 6, monthBytes: 107 },
      ],
    );
    assert.equal(usage.begin('2026-11-29'), false);
    assert.equal(usage.begin('2026-11-30'), true);
    assert.deepEqual(usage.total('a'), { dayBytes: 0, monthBytes: 107 });
    usage.begin('2026-12-01');
    assert.deepEqual(usage.total('a'), { dayBytes: 0, monthBytes: 0 });
  });
});
