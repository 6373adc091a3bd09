import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { encodeFrame, FrameType } from '../../../src/wire/frames.ts';
import { FrameQueue, QueueSpace, type DropListener } from '../../../src/relay/session/frame-queue.ts';

function frame(payloadBytes: number, mark: number): Buffer {
  return encodeFrame(FrameType.RecvPacket, Buffer.alloc(payloadBytes, mark));
}

/** A limit above the use of all tests, in bytes. */
const SPACE_BYTES = 10_000_000;
const NOBODY: DropListener = { dropped: () => undefined };

/** Takes up to `most` bytes, as a stream does, and returns them. */
function take(queue: FrameQueue, most: number): Buffer {
  const bytes = Buffer.from(queue.buffer.subarray(queue.start, Math.min(queue.end, queue.start + most)));
  if (bytes.length > 0) queue.consume(bytes.length);
  return bytes;
}

suite('frame queue', () => {
  test('§9.22 with a full queue the oldest frames are lost and the newest kept', () => {
    const dropped: number[] = [];
    const queue = new FrameQueue(3 * 105, new QueueSpace(SPACE_BYTES), {
      dropped: (_queue, bytes) => dropped.push(bytes),
    });
    for (let mark = 0; mark < 5; mark++) {
      const next = frame(100, mark);
      queue.append(next, 0, next.length);
    }
    assert.deepEqual(dropped, [105, 105]);
    assert.deepEqual(take(queue, 10_000), Buffer.concat([frame(100, 2), frame(100, 3), frame(100, 4)]));
    assert.equal(queue.buffer.length, 0, 'the buffer is given back');
  });

  test('a frame that was written in part is kept whole, and the one behind it is dropped instead', () => {
    const queue = new FrameQueue(210, new QueueSpace(SPACE_BYTES), NOBODY);
    for (const mark of [1, 2]) queue.append(frame(100, mark), 0, 105);
    const head = take(queue, 50);
    queue.append(frame(100, 3), 0, 105);
    queue.append(frame(100, 4), 0, 105);
    assert.deepEqual(Buffer.concat([head, take(queue, 10_000)]), Buffer.concat([frame(100, 1), frame(100, 4)]));
  });

  test('whatever is appended, written in parts and dropped, the peer sees whole frames in order', () => {
    const move = fc.oneof(
      fc.record({ append: fc.integer({ min: 0, max: 3000 }) }),
      fc.record({ write: fc.integer({ min: 1, max: 5000 }) }),
    );
    fc.assert(
      fc.property(fc.array(move, { maxLength: 200 }), fc.integer({ min: 3005, max: 9000 }), (moves, limit) => {
        let drops = 0;
        let ended = 0;
        const queue = new FrameQueue(limit, new QueueSpace(SPACE_BYTES), { dropped: () => drops++ });
        const seen: Buffer[] = [];
        let appended = 0;
        const write = (most: number): void => {
          const bytes = Buffer.from(queue.buffer.subarray(queue.start, Math.min(queue.end, queue.start + most)));
          if (bytes.length > 0) ended += queue.consume(bytes.length);
          seen.push(bytes);
        };
        for (const step of moves) {
          if ('append' in step) {
            const next = frame(step.append, appended++ & 0xff);
            queue.append(next, 0, next.length);
            assert.ok(queue.bytes <= limit + next.length);
          } else {
            write(step.write);
          }
        }
        write(Infinity);
        const stream = Buffer.concat(seen);
        let at = 0;
        let frames = 0;
        let last = -1;
        while (at < stream.length) {
          const length = stream.readUInt32BE(at + 1);
          const payload = stream.subarray(at + 5, at + 5 + length);
          assert.equal(stream[at], FrameType.RecvPacket);
          if (length > 0) {
            const mark = payload[0]!;
            assert.ok(payload.every((byte) => byte === mark));
            assert.ok(appended > 256 || mark > last);
            last = mark;
          }
          at += 5 + length;
          frames++;
        }
        assert.equal(at, stream.length);
        assert.equal(frames + drops, appended);
        assert.equal(ended, frames);
        assert.equal(queue.frames, 0);
      }),
      { numRuns: 300 },
    );
  });

  test('a larger frame than the limit is still taken when nothing else waits', () => {
    const queue = new FrameQueue(100, new QueueSpace(SPACE_BYTES), NOBODY);
    const large = frame(65_568, 9);
    queue.append(large, 0, large.length);
    assert.deepEqual(take(queue, 100_000), large);
  });

  test('what waited from one call to the next is dropped, what came later stays', () => {
    const dropped: number[] = [];
    const queue = new FrameQueue(10_000, new QueueSpace(SPACE_BYTES), {
      dropped: (_queue, bytes) => dropped.push(bytes),
    });
    for (const mark of [1, 2, 3]) queue.append(frame(100, mark), 0, 105);
    queue.dropAged();
    assert.deepEqual(dropped, []);
    take(queue, 105);
    queue.append(frame(100, 4), 0, 105);
    queue.dropAged();
    assert.deepEqual(dropped, [105, 105]);
    assert.deepEqual(take(queue, 10_000), frame(100, 4));
  });

  test('a frame that was written in part does not age', () => {
    const queue = new FrameQueue(10_000, new QueueSpace(SPACE_BYTES), NOBODY);
    for (const mark of [1, 2]) queue.append(frame(100, mark), 0, 105);
    const head = take(queue, 50);
    for (let i = 0; i < 3; i++) queue.dropAged();
    assert.deepEqual(Buffer.concat([head, take(queue, 10_000)]), frame(100, 1));
  });

  test('however many queues are stuck, together they stay within their space and a largest frame each', () => {
    const spaceBytes = 1_000_000;
    const space = new QueueSpace(spaceBytes);
    const large = frame(16_384, 1);
    const queues = Array.from({ length: 50 }, () => new FrameQueue(262_144, space, NOBODY));
    for (let round = 0; round < 40; round++) for (const queue of queues) queue.append(large, 0, large.length);
    const taken = queues.reduce((sum, queue) => sum + queue.buffer.length, 0);
    assert.equal(space.freeBytes, spaceBytes - taken);
    // A largest frame, and the additional space that saves copying.
    assert.ok(taken <= spaceBytes + 50 * 131_072, `${taken}`);
    const fresh = new FrameQueue(262_144, space, NOBODY);
    for (let i = 0; i < 3; i++) fresh.append(large, 0, large.length);
    assert.equal(fresh.frames, 3, 'one that is not stuck still has room');
    for (const queue of queues) queue.clear();
    fresh.clear();
    assert.equal(space.freeBytes, spaceBytes);
  });
});
