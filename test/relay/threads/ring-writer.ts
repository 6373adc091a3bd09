import { workerData } from 'node:worker_threads';
import { RingWriter } from '../../../src/relay/threads/ring.ts';

/** Writes packets of many sizes as fast as there is room. The number of a packet determines its length and its content. */
const { memory, packets, seed } = workerData as { memory: SharedArrayBuffer; packets: number; seed: number };
const writer = new RingWriter(memory);
const key = new Int32Array(8);
for (let number = 0; number < packets; number++) {
  const payload = Buffer.alloc((number * seed) % 1500, number & 0xff);
  while (!writer.packet(0, number, 0, key, payload, 0, payload.length)) {
    writer.publish();
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (number % 16 === 0) writer.publish();
}
writer.publish();
