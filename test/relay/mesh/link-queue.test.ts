import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { Counters } from '../../../src/observe/counters.ts';
import { LinkQueue } from '../../../src/relay/mesh/link-queue.ts';
import { Peer } from '../../../src/relay/routing/peer.ts';
import { QueueSpace } from '../../../src/relay/session/frame-queue.ts';
import { encodeFrame, FrameType } from '../../../src/wire/frames.ts';
import { MemoryStream } from '../session/support.ts';

const A = new Peer(Buffer.alloc(32, 0xaa));
const B = new Peer(Buffer.alloc(32, 0xbb));
const PING = encodeFrame(FrameType.Ping, Buffer.alloc(8, 7));
const LIMIT_BYTES = 70_000;

function newQueue(): { queue: LinkQueue; counters: Counters } {
  const counters = new Counters();
  return { queue: new LinkQueue(LIMIT_BYTES, new QueueSpace(1 << 20), counters), counters };
}

function forward(queue: LinkQueue, text: string): void {
  const bytes = Buffer.from(`..${text}`);
  queue.forward(A.words, B.words, bytes, 2, bytes.length);
}

suite('what waits for another relay', () => {
  test('§2.2 a forwarded packet has both keys; control frames go first; what was written is counted', () => {
    const { queue, counters } = newQueue();
    const stream = new MemoryStream();
    forward(queue, 'hello');
    assert.ok(queue.add(PING));
    queue.flush(stream);
    assert.deepEqual(stream.frames(), [
      { type: FrameType.Ping, payload: Buffer.alloc(8, 7) },
      { type: FrameType.ForwardPacket, payload: Buffer.concat([A.key, B.key, Buffer.from('hello')]) },
    ]);
    assert.deepEqual([queue.pendingBytes, queue.sentPackets, queue.sentBytes], [0, 1, 5]);
    assert.deepEqual([counters.packetsForwardedOut, counters.bytesForwardedOut], [1, 5]);
  });

  test('the oldest are dropped when too many wait, and those that waited for too long', () => {
    const { queue } = newQueue();
    for (let i = 0; i < 100; i++) forward(queue, `${i}`.padEnd(1000));
    assert.ok(queue.pendingBytes <= LIMIT_BYTES);
    assert.ok(queue.droppedPackets > 0);
    const stream = new MemoryStream();
    queue.dropAged();
    forward(queue, 'new');
    queue.dropAged();
    queue.flush(stream);
    assert.deepEqual(
      stream.frames().map(({ payload }) => payload.toString('latin1', 64)),
      ['new'],
    );
    assert.equal(queue.droppedPackets, 100);
  });

  test('§8.7 after a lost connection whole packets wait for the next one, and half ones are gone', () => {
    const { queue } = newQueue();
    const first = new MemoryStream();
    first.room = 80;
    forward(queue, 'first, of which a part is written');
    forward(queue, 'second');
    queue.flush(first);
    queue.disconnected();
    const second = new MemoryStream();
    queue.flush(second);
    assert.deepEqual(
      second.frames().map(({ payload }) => payload.toString('latin1', 64)),
      ['second'],
    );
    assert.deepEqual([queue.sentPackets, queue.droppedPackets, queue.pendingBytes], [1, 1, 0]);
  });

  test('whatever a stream takes: frames arrive whole and in order, and each is counted once', () => {
    const step = fc.oneof(
      fc.record({ forward: fc.integer({ min: 0, max: 3000 }) }),
      fc.record({ takes: fc.integer({ min: 1, max: 4000 }) }),
      fc.constant('control' as const),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { queue } = newQueue();
        const stream = new MemoryStream();
        stream.room = 0;
        let forwarded = 0;
        let pings = 0;
        const received: { type: number; payload: Buffer }[] = [];
        for (const what of [...steps, { takes: 1_000_000 }]) {
          if (what === 'control') {
            if (queue.add(PING)) pings++;
          } else if ('forward' in what) {
            forward(queue, `${forwarded++} `.padEnd(what.forward, 'x'));
          } else {
            stream.room = what.takes;
            queue.flush(stream);
            received.push(...stream.frames());
          }
        }
        const packets = received.filter(({ type }) => type === FrameType.ForwardPacket);
        const numbers = packets.map(({ payload }) => Number.parseInt(payload.toString('latin1', 64), 10));
        assert.deepEqual(
          numbers,
          [...numbers].sort((a, b) => a - b),
        );
        assert.equal(new Set(numbers).size, numbers.length);
        assert.equal(numbers.length + queue.droppedPackets, forwarded);
        assert.equal(received.length - packets.length, pings);
        assert.deepEqual([queue.sentPackets, queue.pendingBytes], [numbers.length, 0]);
      }),
    );
  });
});
