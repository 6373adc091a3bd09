import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counters, PacketKind } from '../../../src/observe/counters.ts';
import { QueueSpace } from '../../../src/relay/session/frame-queue.ts';
import { FlushResult, Outbox } from '../../../src/relay/session/outbox.ts';
import { Traffic } from '../../../src/relay/session/traffic.ts';
import type { Stream } from '../../../src/transport/port.ts';
import { encodeFrame, FRAME_HEADER_BYTES, FrameType, KEY_BYTES } from '../../../src/wire/frames.ts';

/** A stream that takes `room` bytes. */
class Sink implements Pick<Stream, 'write'> {
  room = 0;
  written: Buffer = Buffer.alloc(0);

  write(buffer: Buffer, from: number, to: number): number {
    const taken = Math.min(this.room, to - from);
    this.room -= taken;
    this.written = Buffer.concat([this.written, buffer.subarray(from, from + taken)]);
    return taken;
  }

  /** Returns the types of the written frames; fails on an incomplete frame. */
  types(): number[] {
    const types: number[] = [];
    let at = 0;
    while (at < this.written.length) {
      types.push(this.written[at]!);
      at += FRAME_HEADER_BYTES + this.written.readUInt32BE(at + 1);
    }
    assert.equal(at, this.written.length);
    return types;
  }
}

function packetFrame(fill: number, bytes: number): Buffer {
  return encodeFrame(FrameType.RecvPacket, Buffer.alloc(KEY_BYTES + bytes, fill));
}

/** Queues the packet of {@link packetFrame}: key and packet consist of the same byte. */
function queue(outbox: Outbox, fill: number, bytes: number, kind: PacketKind): void {
  const words = new Int32Array(KEY_BYTES / 4).fill(fill * 0x01_01_01_01);
  const buffer = Buffer.alloc(bytes + 2, fill);
  outbox.packet(words, buffer, 1, bytes + 1, kind);
}

for (const kind of [PacketKind.Other, PacketKind.Disco]) {
  test(`a packet of kind ${kind} that was taken in part is finished before any other frame, wherever it was cut`, () => {
    const frame = packetFrame(1, 200);
    for (let cut = 1; cut < frame.length; cut++) {
      const sink = new Sink();
      const counters = new Counters();
      const limits = { queueBytes: 600, discoQueueBytes: 600 };
      const outbox = new Outbox(sink as unknown as Stream, counters, limits, new QueueSpace(1_000_000), new Traffic());
      queue(outbox, 1, 200, kind);
      sink.room = cut;
      assert.equal(outbox.flush(), FlushResult.Blocked);
      outbox.control(encodeFrame(FrameType.Pong, Buffer.alloc(8)));
      // More than the queue holds; the frame that was begun is not dropped.
      for (let i = 0; i < 4; i++) queue(outbox, 2, 200, kind);
      queue(outbox, 3, 40, PacketKind.Disco);
      sink.room = 1_000_000;
      assert.notEqual(outbox.flush(), FlushResult.Blocked);
      const types = sink.types();
      assert.deepEqual(types.slice(0, 2), [FrameType.RecvPacket, FrameType.Pong], `cut at ${cut}`);
      assert.ok(sink.written.subarray(0, frame.length).equals(frame));
      assert.equal(outbox.bytes, 0);
      assert.equal(counters.packetsSent, types.length - 1);
    }
  });
}

test('wherever a write was cut, each packet and each byte of it is counted once, as sent or as dropped', () => {
  const frame = packetFrame(1, 100);
  for (let cut = 0; cut <= 3 * frame.length; cut++) {
    const counters = new Counters();
    const sink = new Sink();
    const limits = { queueBytes: 65_536, discoQueueBytes: 65_536 };
    const outbox = new Outbox(sink as unknown as Stream, counters, limits, new QueueSpace(1_000_000), new Traffic());
    for (let i = 0; i < 3; i++) queue(outbox, 1, 100, PacketKind.Other);
    // In two writes, so that one frame is cut into three pieces.
    for (const room of [Math.floor(cut / 2), cut - Math.floor(cut / 2)]) {
      sink.room = room;
      outbox.flush();
    }
    const sent = Math.floor(cut / frame.length);
    assert.deepEqual([counters.packetsSent, counters.bytesSent], [sent, sent * 100], `cut at ${cut}`);
    outbox.close();
    const dropped = [counters.dropPackets, counters.dropBytes].map((table) => table.flat().reduce((a, b) => a + b, 0));
    assert.deepEqual(dropped, [3 - sent, (3 - sent) * 100], `cut at ${cut}`);
  }
});

test('an outbox gives up what is empty and nothing else', () => {
  const sink = new Sink();
  const limits = { queueBytes: 65_536, discoQueueBytes: 65_536 };
  const space = new QueueSpace(1_000_000);
  const outbox = new Outbox(sink as unknown as Stream, new Counters(), limits, space, new Traffic());
  for (let round = 0; round < 3; round++) {
    queue(outbox, 1, 100, PacketKind.Other);
    queue(outbox, 2, 50, PacketKind.Disco);
    outbox.control(encodeFrame(FrameType.Pong, Buffer.alloc(8)));
    const { bytes } = outbox;
    outbox.shrink();
    assert.equal(outbox.bytes, bytes);
    sink.room = 1_000_000;
    assert.equal(outbox.flush(), FlushResult.Written);
    outbox.shrink();
    assert.equal(outbox.bytes, 0);
    assert.equal(outbox.flush(), FlushResult.Idle);
  }
  const round = [FrameType.Pong, FrameType.RecvPacket, FrameType.RecvPacket];
  assert.deepEqual(sink.types(), [...round, ...round, ...round]);
  assert.equal(space.freeBytes, 1_000_000);
});
