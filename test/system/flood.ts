/**
 * Tests system calls under forced garbage collection: threads send batches of datagrams to themselves and compare every byte, while
 * each collects garbage as often as possible. Memory to which only the kernel has a pointer would be freed here.
 * `npm run test:system-flood` (ten minutes), or with `--seconds N`.
 */
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { FloodCounts } from './flood-thread.ts';

const THREADS = 2;
const { values } = parseArgs({ options: { seconds: { type: 'string', default: '600' } } });
const seconds = Number(values.seconds);

function run(seed: number): Promise<FloodCounts> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('flood-thread.ts', import.meta.url), { workerData: { seconds, seed } });
    worker.once('message', resolve).once('error', reject);
    worker.once('exit', (code) => reject(new Error(`a thread ended with ${code}`)));
  });
}

const counts = await Promise.all(Array.from({ length: THREADS }, (_, i) => run(i + 1)));
const sum = (field: keyof FloodCounts): number => counts.reduce((total, one) => total + one[field], 0);
const memory = Math.round(process.memoryUsage.rss() / 1_048_576);
console.log(
  `${seconds} s, ${sum('datagrams')} datagrams in ${sum('batches')} batches compared, ${sum('collections')} collections, ${sum('wrong')} wrong, ${sum('lost')} lost, ${memory} MiB`,
);
process.exitCode = sum('wrong') > 0 || sum('datagrams') === 0 ? 1 : 0;
