import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { hexKey } from './support-keys.ts';
import { readTraffic, type TrafficRow } from '../../src/accounting/traffic-store.ts';

/** Makes a folder that is removed after the tests of the file. */
export function scratch(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-accounting-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Returns a row in which the key with number `seed` has sent `bytes` in one packet, and received twice as much. */
export function row(day: string, seed: number, bytes: number, route: TrafficRow['path'] = 'derp'): TrafficRow {
  return {
    ...{ day, key: hexKey(seed), path: route },
    ...{ sentBytes: bytes, sentPackets: 1, receivedBytes: 2 * bytes, receivedPackets: 2 },
  };
}

/** Returns all items of an iteration. */
export async function listOf<T>(source: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const entry of source) list.push(entry);
  return list;
}

/** Returns all rows of a store between two days. */
export async function rowsOf(file: string, from = '2000-01-01', to = '2100-01-01'): Promise<TrafficRow[]> {
  return listOf(readTraffic(file, from, to));
}
