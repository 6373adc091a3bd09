import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { STORE_FILE } from '../../src/accounting/traffic-store.ts';
import { rowsOf } from './support.ts';

const WRITER = path.join(import.meta.dirname, 'writer.ts');

export interface MonthResult {
  /** Days that were acknowledged before the kill, and days that are on disk. */
  readonly acknowledged: number;
  readonly kept: number;
  readonly rows: number;
}

/**
 * Writes `days` days for `keys` keys in another process, kills it with SIGKILL after `killAfter` of them, and checks that all
 * acknowledged days are there, each of them complete. With 0, the process is not killed.
 */
export async function writeMonth(
  directory: string,
  { keys, days, killAfter }: { readonly keys: number; readonly days: number; readonly killAfter: number },
): Promise<MonthResult> {
  const child = spawn(process.execPath, [WRITER, directory, String(keys), String(days)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  let acknowledged = 0;
  let isDone = false;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'done') isDone = true;
    else acknowledged++;
    if (acknowledged === killAfter) child.kill('SIGKILL');
  }
  await ended;
  assert.equal(isDone, killAfter === 0);
  const rows = await rowsOf(path.join(directory, STORE_FILE));
  const byDay = Map.groupBy(rows, ({ day }) => day);
  for (const [day, list] of byDay) {
    assert.equal(list.length, keys, `${day} is whole`);
    for (const { key, sentBytes, receivedBytes } of list) {
      assert.equal(sentBytes, 1000 * Number(day.slice(8)) + Number.parseInt(key, 16));
      assert.equal(receivedBytes, 2 * sentBytes);
    }
  }
  assert.ok(byDay.size >= acknowledged, `${acknowledged} days were acknowledged, ${byDay.size} are there`);
  return { acknowledged, kept: byDay.size, rows: rows.length };
}
