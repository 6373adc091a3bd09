import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { KeyLimits } from '../../../src/relay/fairness/key-limits.ts';
import type { SessionContext } from '../../../src/relay/session/context.ts';
import { FrameReader, type FirstFrameReceiver, type FrameReceiver } from '../../../src/relay/session/frame-reader.ts';
import { encodeFrame, FrameType } from '../../../src/wire/frames.ts';
import { MemoryStream, SessionWorld } from './support.ts';

const KEY = Buffer.alloc(32, 1);

/** A frame reader on a stream in memory, and the frames that it accepts. */
class Reading implements FirstFrameReceiver, FrameReceiver {
  readonly stream: MemoryStream = new MemoryStream();
  readonly world: SessionWorld;
  readonly reader: FrameReader;
  readonly taken: string[] = [];
  readonly refusals: string[] = [];
  skips: (type: number) => boolean = () => false;
  onClientInfo: () => void = () => undefined;

  constructor(changes: Partial<SessionContext> = {}) {
    this.world = new SessionWorld(changes);
    this.reader = new FrameReader(this.stream, this.world.context as SessionContext, this);
    this.stream.handler = {
      bytes: (_stream, buffer, from, to) => this.reader.bytes(buffer, from, to),
      writable: () => undefined,
      closed: () => undefined,
    };
  }

  clientInfo(_buffer: Buffer, from: number, to: number): void {
    this.taken.push(`client info ${to - from - 5}`);
    this.onClientInfo();
  }

  begins(type: number): boolean {
    return !this.skips(type);
  }

  frame(type: number, _buffer: Buffer, from: number, to: number): void {
    this.taken.push(`${type} ${to - from - 5}`);
  }

  refused(reason: string): void {
    this.refusals.push(reason);
    this.reader.stop();
  }
}

function frame(type: number, payloadBytes: number): Buffer {
  return encodeFrame(type as FrameType, Buffer.alloc(payloadBytes));
}

suite('frame reader', () => {
  test('§2.3 the first frame must be ClientInfo, of a length that can be right', () => {
    for (const [bytes, refusal] of [
      [frame(FrameType.Ping, 8), 'client_info_type'],
      [frame(FrameType.ClientInfo, 55), 'client_info_length'],
      [Buffer.from('02ffffffff', 'hex'), 'client_info_length'],
    ] as const) {
      const reading = new Reading();
      reading.stream.feed(Buffer.concat([bytes, frame(FrameType.Ping, 8)]));
      assert.deepEqual([reading.refusals, reading.taken], [[refusal], []]);
    }
  });

  test('what follows ClientInfo waits for admission, unread once a budget of it is held, and is handed over then', async () => {
    const reading = new Reading();
    reading.onClientInfo = () => reading.reader.awaitAdmission();
    reading.stream.feed(Buffer.concat([frame(FrameType.ClientInfo, 100), frame(FrameType.Ping, 8)]));
    assert.ok(reading.stream.isPaused);
    await nextTurn();
    assert.deepEqual(reading.taken, ['client info 100']);
    reading.reader.admitted(KEY, null, false, reading);
    assert.deepEqual(reading.taken, ['client info 100', `${FrameType.Ping} 8`]);
    assert.equal(reading.stream.isPaused, false);
  });

  test('§2.3 an open client may send what the rules allow; a frame that breaks one ends it, and nothing more is read', () => {
    const refused: readonly (readonly [type: number, payloadBytes: number, reason: string])[] = [
      [FrameType.SendPacket, 31, 'bad_frame_length'],
      [FrameType.SendPacket, 65_569, 'bad_frame_length'],
      [FrameType.NotePreferred, 2, 'bad_frame_length'],
      [FrameType.Ping, 7, 'bad_frame_length'],
      [FrameType.Ping, 1001, 'bad_frame_length'],
      [FrameType.ForwardPacket, 64, 'no_mesh_rights'],
      [FrameType.WatchConns, 0, 'no_mesh_rights'],
      [FrameType.ClosePeer, 32, 'no_mesh_rights'],
      [0x77, 65_569, 'frame_too_large'],
    ];
    for (const [type, payloadBytes, reason] of refused) {
      const reading = new Reading();
      reading.reader.admitted(KEY, null, false, reading);
      const good = frame(FrameType.SendPacket, 32);
      reading.stream.feed(Buffer.concat([good, frame(type, payloadBytes).subarray(0, 5), good]));
      assert.deepEqual([reading.refusals, reading.taken], [[reason], [`${FrameType.SendPacket} 32`]]);
    }
  });

  test('a frame that the receiver does not want is skipped, however long', () => {
    const reading = new Reading();
    reading.skips = (type) => type === 0x77;
    reading.reader.admitted(KEY, null, false, reading);
    const bytes = Buffer.concat([frame(0x77, 60_000), frame(FrameType.Ping, 8)]);
    for (let at = 0; at < bytes.length; at += 999) reading.stream.feed(bytes.subarray(at, at + 999));
    assert.deepEqual(reading.taken, [`${FrameType.Ping} 8`]);
  });

  test('a client that is over its rate waits, and is read no more once a budget of it is held', async () => {
    const reading = new Reading({ keyLimits: new KeyLimits({ bytesPerSecond: 1000, burstBytes: 70_000 }, null) });
    reading.reader.admitted(KEY, null, false, reading);
    for (let turn = 0; turn < 10; turn++) {
      while (!reading.stream.isPaused) reading.stream.feed(frame(FrameType.SendPacket, 10_000));
      await nextTurn();
    }
    assert.ok(reading.stream.isPaused);
    assert.ok(reading.taken.length >= 6 && reading.taken.length <= 8, `${reading.taken.length}`);
    assert.ok(reading.world.counters.rateLimitWaits > 0);
    reading.reader.stop();
  });
});
