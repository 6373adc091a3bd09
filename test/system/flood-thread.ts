import { parentPort, workerData } from 'node:worker_threads';
import { MSG_DONTWAIT } from '../../src/system/linux.ts';
import { loadSystemCalls } from '../../src/system/runtime.ts';
import { Fixture, pattern } from './fixture.ts';

/** The result of one thread of the flood. */
export interface FloodCounts {
  readonly batches: number;
  readonly datagrams: number;
  readonly collections: number;
  /** Datagrams that arrived with other bytes. */
  readonly wrong: number;
  readonly lost: number;
}

const SEGMENTS = 8;
const SEGMENT_BYTES = 1100;
const IN_BATCH = 8;
const COLLECT_EVERY = 16;

const { seconds, seed } = workerData as { seconds: number; seed: number };
const runtime = globalThis as { gc?: () => void; Bun?: { gc(isSync: boolean): void } };
const collect = (): void => (runtime.Bun === undefined ? runtime.gc?.() : runtime.Bun.gc(true));

const calls = await loadSystemCalls();
const fixture = new Fixture(calls);
const [from, to] = [fixture.open('127.0.0.1'), fixture.open('127.0.0.1', true)];
const into = fixture.batch();
const [single, together] = [pattern(1280, seed), pattern(SEGMENTS * SEGMENT_BYTES, seed)];
for (let i = 0; i < IN_BATCH; i++) {
  fixture.add(i % 2 === 0 ? single : together, '127.0.0.1', to.port);
  if (i % 2 === 1) fixture.out.setSegment(SEGMENT_BYTES);
  fixture.out.setSource(fixture.local('127.0.0.1'), 0, 0);
}

const counts = { batches: 0, datagrams: 0, collections: 0, wrong: 0, lost: 0 };
/** Garbage of all sizes, which overwrites freed memory. */
let garbage: Uint8Array[] = [];
const end = performance.now() + seconds * 1000;
while (performance.now() < end) {
  let expected = fixture.out.send(from.fd, 0, MSG_DONTWAIT);
  if (counts.batches % COLLECT_EVERY === 0) {
    garbage = Array.from({ length: 20 }, (_, i) => new Uint8Array(1 << (i % 14)).fill(0xee));
    collect();
    counts.collections++;
  }
  while (expected > 0) {
    const received = into.receive(to.fd, MSG_DONTWAIT);
    if (received < 0) break;
    for (let i = 0; i < received; i++, expected--) check(i);
  }
  counts.lost += expected;
  counts.batches++;
}
fixture.close();
if (garbage.length === 0) throw new Error('no garbage was made');
parentPort?.postMessage(counts);

function check(i: number): void {
  const isWhole = into.read(i);
  const length = into.length(i);
  const want = into.segmentBytes > 0 ? together : single;
  const at = into.dataOffset(i);
  const isSame = length === want.length && want.compare(fixture.arena.bytes, at, at + length) === 0;
  counts.datagrams += into.segmentBytes > 0 ? SEGMENTS : 1;
  if (!isWhole || !isSame) counts.wrong++;
}
