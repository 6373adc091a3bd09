/**
 * A process that writes a month of accounting in batches, and prints what the store has acknowledged:
 * `writer.ts DIRECTORY KEYS DAYS`. It is killed in the middle.
 */
import { Accounting } from '../../src/accounting/accounting.ts';
import { hexKey } from './support-keys.ts';

const [directory = '', keys = '', days = ''] = process.argv.slice(2);
const log = { info: () => undefined, warn: (fields: object) => process.stderr.write(`${JSON.stringify(fields)}\n`) };
const accounting = new Accounting({ enabled: true, directory, keepDays: 3660, flushSeconds: 60 }, log);

for (let day = 1; day <= Number(days); day++) {
  const date = `2026-10-${String(day).padStart(2, '0')}`;
  for (let seed = 0; seed < Number(keys); seed++) {
    const bytes = 1000 * day + seed;
    const counts = { sentBytes: bytes, sentPackets: 1, receivedBytes: 2 * bytes, receivedPackets: 2 };
    accounting.add({ day: date, key: hexKey(seed), path: 'derp', ...counts });
  }
  await accounting.flush();
  process.stdout.write(`${date}\n`);
}
await accounting.close(true);
process.stdout.write('done\n');
