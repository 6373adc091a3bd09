import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { WebSocketClientStream } from '../../src/client/websocket-stream.ts';
import type { Stream, StreamHandler } from '../../src/transport/port.ts';

/** A stream in memory that takes at most `appetite` bytes per write. */
class MemoryStream implements Stream {
  readonly remote = { ip: '127.0.0.1', port: 1 };
  readonly peer = this.remote;
  readonly local = { ip: '127.0.0.1', port: 2 };
  readonly tls = null;
  readonly connection = null;
  handler: StreamHandler = { bytes: () => undefined, writable: () => undefined, closed: () => undefined };
  appetite = Infinity;
  readonly #written: Buffer[] = [];
  readonly calls: string[] = [];

  write(buffer: Buffer, from: number, to: number): number {
    const taken = Math.min(this.appetite, to - from);
    this.#written.push(Buffer.from(buffer.subarray(from, from + taken)));
    return taken;
  }
  get written(): Buffer {
    return Buffer.concat(this.#written);
  }
  pause(): void {
    this.calls.push('pause');
  }
  resume(): void {
    this.calls.push('resume');
  }
  finish(): void {
    this.calls.push('finish');
  }
  abort(): void {
    this.calls.push('abort');
  }
  arrive(...bytes: number[]): void {
    this.handler.bytes(this, Buffer.from(bytes), 0, bytes.length);
  }
}

function start(early: Buffer = Buffer.alloc(0)): { inner: MemoryStream; outer: WebSocketClientStream; seen: string[] } {
  const inner = new MemoryStream();
  const seen: string[] = [];
  const outer = new WebSocketClientStream(inner, early, {
    bytes: (_stream, buffer, from, to) => seen.push(buffer.toString('latin1', from, to)),
    writable: () => seen.push('[writable]'),
    closed: (_stream, reason) => seen.push(`[closed ${reason}]`),
  });
  return { inner, outer, seen };
}

/** Unmasks the frames of a client: returns opcode and payload of each. */
function frames(bytes: Buffer): { opcode: number; payload: Buffer }[] {
  const out = [];
  for (let at = 0; at < bytes.length;) {
    const opcode = bytes[at]! & 0x0f;
    assert.equal(bytes[at]! & 0xf0, 0x80, 'FIN and no reserved bit');
    assert.equal(bytes[at + 1]! & 0x80, 0x80, 'masked');
    let length = bytes[at + 1]! & 0x7f;
    at += 2;
    if (length === 126) {
      length = bytes.readUInt16BE(at);
      at += 2;
    }
    const mask = bytes.subarray(at, at + 4);
    at += 4;
    const payload = Buffer.from(bytes.subarray(at, at + length).map((byte, i) => byte ^ mask[i & 3]!));
    at += length;
    out.push({ opcode, payload });
  }
  return out;
}

/** Makes a frame of a server. */
function serverFrame(opcode: number, payload: Buffer, fin = true): Buffer {
  const first = (fin ? 0x80 : 0) | opcode;
  if (payload.length < 126) return Buffer.concat([Buffer.of(first, payload.length), payload]);
  const head = Buffer.of(first, 126, payload.length >> 8, payload.length & 0xff);
  return Buffer.concat([head, payload]);
}

describe('WebSocketClientStream', () => {
  it('writes masked binary messages of at most 32 768 bytes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 70_000 }), { maxLength: 4 }),
        fc.integer({ min: 300, max: 9000 }),
        (sizes, appetite) => {
          const { inner, outer } = start();
          inner.appetite = appetite;
          const sent = Buffer.concat(sizes.map((size, i) => Buffer.alloc(size, i + 1)));
          let at = 0;
          while (at < sent.length) {
            const taken = outer.write(sent, at, sent.length);
            at += taken;
            inner.handler.writable(inner);
          }
          while (inner.appetite < Infinity) {
            inner.appetite = Infinity;
            inner.handler.writable(inner);
          }
          const got = frames(inner.written);
          assert.ok(got.every((frame) => frame.opcode === 2 && frame.payload.length <= 32_768));
          assert.deepEqual(Buffer.concat(got.map((frame) => frame.payload)), sent);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('reads the bytes of messages, however they are fragmented and cut (statement 101)', () => {
    const message = fc.record({ size: fc.integer({ min: 0, max: 300 }), fin: fc.boolean(), ping: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        (messages, cuts) => {
          const { inner, outer, seen } = start();
          outer.resume();
          const wire: Buffer[] = [];
          let expected = '';
          for (const [i, { size, fin, ping }] of messages.entries()) {
            const payload = Buffer.alloc(size, 97 + i);
            expected += payload.toString('latin1');
            wire.push(serverFrame(i === 0 ? 2 : 0, payload, fin));
            if (ping) wire.push(serverFrame(9, Buffer.from('ping')));
          }
          const bytes = Buffer.concat(wire);
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const end = Math.min(bytes.length, at + cuts[i % cuts.length]!);
            inner.handler.bytes(inner, bytes, at, end);
            at = end;
          }
          assert.equal(seen.join(''), expected);
          const pongs = frames(inner.written);
          assert.equal(pongs.length, messages.filter(({ ping }) => ping).length);
          assert.ok(pongs.every((pong) => pong.opcode === 10 && pong.payload.toString() === 'ping'));
        },
      ),
    );
  });

  it('reads a 64-bit length and ignores pongs', () => {
    const { inner, outer, seen } = start();
    outer.resume();
    inner.arrive(0x8a, 1, 120, 0x82, 127, 0, 0, 0, 0, 0, 0, 0, 2, 65, 66);
    assert.deepEqual(seen, ['AB']);
  });

  it('delivers early bytes on resume, and nothing while paused', () => {
    const { inner, outer, seen } = start(serverFrame(2, Buffer.from('early')));
    assert.equal(seen.length, 0);
    outer.handler = {
      bytes(stream, buffer, from, to) {
        seen.push(buffer.toString('latin1', from, to));
        stream.pause();
      },
      writable: () => undefined,
      closed: () => undefined,
    };
    outer.resume();
    assert.deepEqual(seen, ['early']);
    assert.deepEqual(inner.calls, ['pause']);
    const two = Buffer.concat([serverFrame(2, Buffer.from('one')), serverFrame(2, Buffer.from('two'))]);
    inner.handler.bytes(inner, two, 0, two.length);
    assert.deepEqual(seen, ['early']);
    outer.resume();
    assert.deepEqual(seen, ['early', 'one']);
    outer.resume();
    outer.resume();
    assert.deepEqual(seen, ['early', 'one', 'two']);
    assert.equal(inner.calls.at(-1), 'resume');
  });

  it('answers a close and reports the end', () => {
    const { inner, outer, seen } = start();
    outer.resume();
    inner.arrive(0x88, 2, 3, 0xe8);
    assert.deepEqual(frames(inner.written), [{ opcode: 8, payload: Buffer.of(3, 0xe8) }]);
    assert.equal(inner.calls.at(-1), 'finish');
    inner.handler.closed(inner, 'local');
    assert.deepEqual(seen, ['[closed end]']);
    assert.equal(outer.write(Buffer.of(1), 0, 1), -1);
  });

  it('finishes with a close frame once the rest is written', () => {
    const { inner, outer, seen } = start();
    inner.appetite = 3;
    assert.equal(outer.write(Buffer.from('hello'), 0, 5), 5);
    outer.finish(1000);
    outer.finish(1000);
    assert.deepEqual(inner.calls, []);
    inner.appetite = Infinity;
    inner.handler.writable(inner);
    assert.deepEqual(
      frames(inner.written).map((frame) => frame.opcode),
      [2, 8],
    );
    assert.deepEqual(inner.calls, ['finish']);
    inner.handler.closed(inner, 'local');
    assert.deepEqual(seen, ['[closed local]']);
  });

  it('says when more can be written', () => {
    const { inner, outer, seen } = start();
    inner.appetite = 0;
    assert.equal(outer.write(Buffer.from('a'), 0, 1), 1);
    assert.equal(outer.write(Buffer.from('b'), 0, 1), 0);
    inner.appetite = Infinity;
    inner.handler.writable(inner);
    assert.deepEqual(seen, ['[writable]']);
    outer.abort();
    assert.deepEqual(inner.calls, ['abort']);
  });

  const violations: [string, number[]][] = [
    ['text', [0x81, 0]],
    ['a masked frame', [0x82, 0x80]],
    ['a reserved bit', [0xc2, 0]],
    ['an unknown opcode', [0x83, 0]],
    ['an unknown control opcode', [0x8b, 0]],
  ];
  for (const [what, bytes] of violations) {
    it(`ends at ${what}`, () => {
      const { inner, outer } = start();
      outer.resume();
      inner.arrive(...bytes);
      assert.equal(frames(inner.written)[0]!.opcode, 8);
      assert.equal(inner.calls.at(-1), 'abort');
    });
  }
});
