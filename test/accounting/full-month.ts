/**
 * Tests accounting at full size, `npm run test:accounting`: writes and exports a month for 1,000 keys, does the same and is
 * killed in the middle, and fills a disk. It prints its measurements. The disk is a tmpfs of its own, which needs root.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Accounting } from '../../src/accounting/accounting.ts';
import { STORE_FILE } from '../../src/accounting/traffic-store.ts';
import { writeMonth } from './month.ts';
import { hexKey } from './support-keys.ts';

const KEYS = 1000;
const DAYS = 31;
const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');
const folder = mkdtempSync(path.join(tmpdir(), 'towpath-month-'));

async function wholeMonth(): Promise<void> {
  const directory = path.join(folder, 'whole');
  const startedAt = performance.now();
  const { rows } = await writeMonth(directory, { keys: KEYS, days: DAYS, killAfter: 0 });
  assert.equal(rows, KEYS * DAYS);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const bytes = statSync(path.join(directory, STORE_FILE)).size;
  console.log(`written and read: ${rows} rows in ${seconds} s, ${(bytes / rows).toFixed(0)} bytes on disk for each`);
  for (const format of ['csv', 'json']) {
    const began = performance.now();
    const args = ['accounting', 'export', '--from', '2026-10-01', '--to', '2026-10-31', '--format', format];
    const env = { ...process.env, TOWPATH_ACCOUNTING_DIRECTORY: directory };
    const text = execFileSync(process.execPath, [MAIN, ...args], { env, encoding: 'utf8', maxBuffer: 1e9 });
    const count = format === 'csv' ? text.split('\r\n').length - 2 : (JSON.parse(text) as unknown[]).length;
    assert.equal(count, rows);
    console.log(
      `exported as ${format}: ${count} rows, ${text.length} bytes, ${Math.round(performance.now() - began)} ms`,
    );
  }
}

async function killedMonths(): Promise<void> {
  for (const killAfter of [1, 10, 20]) {
    const directory = path.join(folder, `killed-${killAfter}`);
    const { acknowledged, kept } = await writeMonth(directory, { keys: KEYS, days: DAYS, killAfter });
    console.log(`killed after ${killAfter} days: ${acknowledged} were acknowledged, ${kept} are on disk, each whole`);
  }
}

/** Writes to a disk that is too small, and later has room again. */
async function fullDisk(): Promise<void> {
  const disk = path.join(folder, 'disk');
  mkdirSync(disk);
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk]);
  if (status !== 0) {
    console.log('a full disk was not tried: this user may not mount a tmpfs');
    return;
  }
  try {
    const ballast = path.join(disk, 'ballast');
    writeFileSync(ballast, Buffer.alloc(700_000));
    const lines: string[] = [];
    const tell = (_fields: object, message: string): unknown => lines.push(message);
    const directory = path.join(disk, 'accounting');
    const log = { info: tell, warn: tell };
    const accounting = new Accounting({ enabled: true, directory, keepDays: 3660, flushSeconds: 60 }, log);
    const day = '2026-10-01';
    for (let round = 0; round < 3; round++) {
      for (let seed = 0; seed < KEYS * 3; seed++) {
        const counts = { sentBytes: 1, sentPackets: 1, receivedBytes: 1, receivedPackets: 1 };
        accounting.add({ day, key: hexKey(seed), path: 'derp', ...counts });
      }
      await accounting.flush();
    }
    assert.equal(lines.length, 1, lines.join());
    rmSync(ballast);
    await accounting.flush();
    assert.equal(lines.length, 2, lines.join());
    const used = await accounting.used(day);
    assert.equal(used?.length, KEYS * 3);
    assert.ok(used.every(({ dayBytes }) => dayBytes === 3));
    await accounting.close(true);
    console.log(`a full disk: "${lines[0]}", then "${lines[1]}", and nothing is missing`);
  } finally {
    spawnSync('umount', [disk]);
  }
}

try {
  console.log(`${'bun' in process.versions ? 'Bun' : 'Node'} ${process.versions['bun'] ?? process.versions.node}`);
  await wholeMonth();
  await killedMonths();
  await fullDisk();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
