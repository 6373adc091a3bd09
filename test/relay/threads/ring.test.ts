import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import {
  createRing,
  RECORD_HEADER_BYTES,
  RingReader,
  RingWriter,
  type RecordReader,
} from '../../../src/relay/threads/ring.ts';

const KEY = Int32Array.from([1, 2, 3, 4, -5, 6, 7, 8]);
const KEY_BYTES = Buffer.from(KEY.buffer);
const SIZE = 4096;

interface Read {
  readonly kind: number;
  readonly connection: number;
  readonly detail: number;
  readonly event: number;
  readonly key: string;
  readonly payload: string;
}

/** Records its calls. */
class Records implements RecordReader {
  readonly all: Read[] = [];

  record(...[kind, connection, detail, event, buffer, keyAt, from, to]: Parameters<RecordReader['record']>): void {
    const key = buffer.toString('hex', keyAt, keyAt + 32);
    this.all.push({ kind, connection, detail, event, key, payload: buffer.toString('latin1', from, to) });
  }
}

function packet(writer: RingWriter, connection: number, payload: string): boolean {
  const buffer = Buffer.from(`..${payload}`);
  return writer.packet(0, connection, 1, KEY, buffer, 2, buffer.length);
}

suite('a ring between threads', () => {
  test('carries packets and events in order, and shows nothing before it is published', () => {
    const memory = createRing(SIZE);
    const [writer, reader, records] = [new RingWriter(memory), new RingReader(memory), new Records()];
    assert.ok(packet(writer, -7, 'hello'));
    assert.ok(
      writer.control({ kind: 1, connection: 2 ** 31 - 1, detail: 3, event: 2 ** 52 + 1, key: KEY, payload: null }),
    );
    assert.equal(reader.read(records, SIZE), 0);
    assert.ok(writer.hiddenBytes > 0);
    assert.equal(writer.publish(), false, 'the reader was not asleep');
    assert.equal(writer.hiddenBytes, 0);
    assert.equal(reader.read(records, SIZE), 2 * RECORD_HEADER_BYTES + 8);
    const key = KEY_BYTES.toString('hex');
    assert.deepEqual(
      records.all.map(({ event, ...rest }) => (rest.kind === 0 ? rest : { ...rest, event })),
      [
        { kind: 0, connection: -7, detail: 1, key, payload: 'hello' },
        { kind: 1, connection: 2 ** 31 - 1, detail: 3, key, payload: '', event: 2 ** 52 + 1 },
      ],
    );
    assert.ok(reader.isEmpty);
  });

  test('is a queue for whatever is written and read, and has room for events when packets find none', () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ bytes: fc.integer({ min: 0, max: 900 }) }) },
      { weight: 2, arbitrary: fc.constant('event' as const) },
      { weight: 2, arbitrary: fc.constant('publish' as const) },
      { weight: 3, arbitrary: fc.record({ read: fc.integer({ min: 1, max: SIZE }) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const memory = createRing(SIZE);
        const [writer, reader, records] = [new RingWriter(memory), new RingReader(memory), new Records()];
        const written: string[] = [];
        let published = 0;
        let events = 0;
        for (const [index, one] of steps.entries()) {
          if (one === 'publish') {
            writer.publish();
            published = written.length;
          } else if (one === 'event') {
            const event = { kind: 1, connection: index, detail: 0, event: index, key: null, payload: null };
            if (events++ < 4) assert.ok(writer.control(event), 'an event finds room beside packets');
            else if (!writer.control(event)) continue;
            written.push(`${index} `);
          } else if ('read' in one) {
            const before = records.all.length;
            reader.read(records, one.read);
            assert.ok(records.all.length <= published);
            assert.ok(records.all.length > before || before === published, 'what is published can be read');
            if (records.all.length === written.length) events = 0;
          } else if (packet(writer, index, 'x'.repeat(one.bytes))) {
            written.push(`${index} ${'x'.repeat(one.bytes)}`);
          }
        }
        writer.publish();
        reader.read(records, Infinity);
        assert.deepEqual(
          records.all.map(({ connection, payload }) => `${connection} ${payload}`),
          written,
        );
        assert.ok(writer.hasSpace());
      }),
    );
  });

  test('wakes each side once, and never lets one sleep while something waits', () => {
    const memory = createRing(SIZE);
    const [writer, reader, records] = [new RingWriter(memory), new RingReader(memory), new Records()];
    assert.ok(reader.sleep());
    packet(writer, 1, 'a');
    assert.ok(writer.publish(), 'it has to be woken');
    packet(writer, 1, 'b');
    assert.equal(writer.publish(), false, 'it is being woken already');
    assert.equal(reader.sleep(), false, 'something waits');
    while (packet(writer, 1, 'x'.repeat(100)));
    writer.publish();
    assert.ok(writer.awaitSpace());
    reader.read(records, Infinity);
    assert.ok(reader.takeWaiting());
    assert.equal(reader.takeWaiting(), false);
    assert.ok(writer.hasSpace());
    assert.equal(writer.awaitSpace(), false, 'there is room already');
  });

  test('goes on where it was when one of its records cannot be handled', () => {
    const memory = createRing(SIZE);
    const [writer, reader, records] = [new RingWriter(memory), new RingReader(memory), new Records()];
    for (const text of ['a', 'b']) packet(writer, 1, text);
    writer.publish();
    const failing: RecordReader = {
      record: () => {
        throw new Error('a bug');
      },
    };
    assert.throws(() => reader.read(failing, Infinity), /a bug/);
    reader.read(records, Infinity);
    assert.deepEqual(
      records.all.map(({ payload }) => payload),
      ['b'],
    );
  });

  test('between two threads, every byte of every packet arrives once and in order', { timeout: 60_000 }, async () => {
    const memory = createRing(65_536);
    const packets = 50_000;
    const worker = new Worker(new URL('./ring-writer.ts', import.meta.url), {
      workerData: { memory, packets, seed: 7 },
    });
    const failed = new Promise<never>((_resolve, reject) => worker.once('error', reject));
    const reader = new RingReader(memory);
    let next = 0;
    const check: RecordReader = {
      record(_kind, connection, _detail, _event, buffer, _keyAt, from, to) {
        assert.equal(connection, next);
        assert.equal(to - from, (next * 7) % 1500);
        for (let at = from; at < to; at++)
          if (buffer[at] !== (next & 0xff)) assert.fail(`byte ${at - from} of ${next}`);
        next++;
      },
    };
    const all = (async () => {
      while (next < packets) {
        reader.read(check, Infinity);
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    await Promise.race([all, failed]);
    await worker.terminate();
    assert.equal(next, packets);
  });
});
