import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FrameDecoder, HeaderVerdict, type FrameSink } from '../../src/wire/frame-decoder.ts';
import { encodeFrame, type FrameType } from '../../src/wire/frames.ts';

interface Seen {
  readonly type: number;
  readonly payload: string;
}

/** Records all frames, and accepts or refuses headers as the test says. */
class Collector implements FrameSink {
  readonly frames: Seen[] = [];
  readonly headers: [number, number][] = [];
  judge: (type: number, payloadBytes: number) => HeaderVerdict = () => HeaderVerdict.Take;
  onFrame: (frame: Seen) => void = () => undefined;

  header(type: number, payloadBytes: number): HeaderVerdict {
    this.headers.push([type, payloadBytes]);
    return this.judge(type, payloadBytes);
  }

  frame(type: number, buffer: Buffer, from: number, to: number): void {
    assert.equal(buffer[from], type);
    assert.equal(buffer.readUInt32BE(from + 1), to - from - 5);
    const frame = { type, payload: buffer.toString('latin1', from + 5, to) };
    this.frames.push(frame);
    this.onFrame(frame);
  }
}

function make(type: number, payload: string): Buffer {
  return encodeFrame(type as FrameType, Buffer.from(payload, 'latin1'));
}

/** Pushes `bytes` cut into pieces of the given sizes, over and over; `between` runs after each. */
function pushCut(
  decoder: FrameDecoder,
  bytes: Buffer,
  sizes: readonly number[],
  between = (): void => undefined,
): void {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = Math.min(bytes.length, at + sizes[i % sizes.length]!);
    // A buffer that is used again for the next read, with other bytes around the frame.
    const window = Buffer.concat([Buffer.of(1, 2, 3), bytes.subarray(at, end), Buffer.of(9)]);
    decoder.push(window, 3, 3 + end - at);
    window.fill(0);
    between();
    at = end;
  }
}

const frame = fc.record(
  { type: fc.integer({ min: 0, max: 5 }), payload: fc.string({ unit: 'binary-ascii', maxLength: 40 }) },
  { noNullPrototype: true },
);
const cuts = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 });

describe('FrameDecoder', () => {
  it('decodes any cutting of any frames alike, skipping what the sink skips', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), cuts, (frames, sizes) => {
        const sink = new Collector();
        sink.judge = (type) => (type === 0 ? HeaderVerdict.Skip : HeaderVerdict.Take);
        const decoder = new FrameDecoder(sink);
        pushCut(decoder, Buffer.concat(frames.map(({ type, payload }) => make(type, payload))), sizes);
        assert.deepEqual(
          sink.frames,
          frames.filter(({ type }) => type !== 0),
        );
        assert.deepEqual(
          sink.headers,
          frames.map(({ type, payload }) => [type, payload.length]),
        );
        assert.ok(decoder.atBoundary);
        assert.equal(decoder.bufferedBytes, 0);
      }),
    );
  });

  it('goes on after Wait with the same header, however bytes arrive meanwhile', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 12 }),
        cuts,
        fc.infiniteStream(fc.boolean()),
        fc.infiniteStream(fc.boolean()),
        (frames, sizes, waits, resumes) => {
          const sink = new Collector();
          let waited: [number, number] | null = null;
          sink.judge = (type, payloadBytes) => {
            if (waited !== null) assert.deepEqual([type, payloadBytes], waited);
            waited = waits.next().value === true ? [type, payloadBytes] : null;
            if (waited !== null) return HeaderVerdict.Wait;
            return type === 0 ? HeaderVerdict.Skip : HeaderVerdict.Take;
          };
          const decoder = new FrameDecoder(sink);
          const between = (): void => {
            assert.equal(decoder.waiting, waited !== null);
            if (resumes.next().value === true) decoder.resume();
          };
          pushCut(decoder, Buffer.concat(frames.map(({ type, payload }) => make(type, payload))), sizes, between);
          for (let i = 0; decoder.waiting && i < 10_000; i++) decoder.resume();
          assert.deepEqual(
            sink.frames,
            frames.filter(({ type }) => type !== 0),
          );
          assert.ok(decoder.atBoundary);
        },
      ),
    );
  });

  it('gives a frame that the sink keeps again after resume, however it was cut', () => {
    const keeping = fc.infiniteStream(fc.boolean());
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), cuts, keeping, keeping, (frames, sizes, keeps, resumes) => {
        const sink = new Collector();
        const decoder = new FrameDecoder(sink);
        const seen: Seen[] = [];
        sink.onFrame = (next) => {
          if (keeps.next().value === true) decoder.keepFrame();
          else seen.push(next);
        };
        const between = (): void => {
          if (resumes.next().value === true) decoder.resume();
        };
        pushCut(decoder, Buffer.concat(frames.map(({ type, payload }) => make(type, payload))), sizes, between);
        for (let i = 0; decoder.waiting && i < 10_000; i++) decoder.resume();
        assert.deepEqual(seen, frames);
        assert.ok(decoder.atBoundary);
      }),
    );
  });

  it('allocates exactly the unfinished frame, after its header was accepted', () => {
    const sink = new Collector();
    const decoder = new FrameDecoder(sink);
    const bytes = make(5, 'x'.repeat(1000));
    decoder.push(bytes, 0, 3);
    assert.deepEqual([decoder.bufferedBytes, decoder.atBoundary, sink.headers.length], [3, false, 0]);
    decoder.push(bytes, 3, 4);
    assert.equal(decoder.bufferedBytes, 4);
    decoder.push(bytes, 4, 10);
    assert.deepEqual([decoder.bufferedBytes, sink.headers.length], [1005, 1]);
    decoder.push(bytes, 10, 1005);
    assert.deepEqual([decoder.bufferedBytes, decoder.atBoundary, sink.frames.length], [0, true, 1]);
  });

  it('buffers nothing of a skipped frame of any length (statement 3)', () => {
    const sink = new Collector();
    sink.judge = () => HeaderVerdict.Skip;
    const decoder = new FrameDecoder(sink);
    decoder.push(Buffer.from('05ffffffff', 'hex'), 0, 5);
    assert.deepEqual(sink.headers, [[5, 4_294_967_295]]);
    const chunk = Buffer.alloc(65_536);
    decoder.push(chunk, 0, chunk.length);
    assert.deepEqual([decoder.bufferedBytes, decoder.atBoundary], [0, false]);
  });

  it('decodes nothing after Stop, in one read or later', () => {
    const sink = new Collector();
    sink.judge = (type) => (type === 2 ? HeaderVerdict.Stop : HeaderVerdict.Take);
    const decoder = new FrameDecoder(sink);
    const bytes = Buffer.concat([make(1, 'a'), make(2, 'b'), make(3, 'c')]);
    decoder.push(bytes, 0, bytes.length);
    decoder.push(make(4, 'd'), 0, 6);
    decoder.resume();
    assert.deepEqual(sink.frames, [{ type: 1, payload: 'a' }]);
    assert.equal(decoder.bufferedBytes, 0);
  });

  it('may be stopped from within a frame that lies whole in a read', () => {
    const sink = new Collector();
    const decoder = new FrameDecoder(sink);
    sink.onFrame = () => decoder.stop();
    const bytes = Buffer.concat([make(1, 'a'), make(2, 'b')]);
    decoder.push(bytes, 0, bytes.length);
    assert.equal(sink.frames.length, 1);
  });

  it('may be stopped from within a frame that was cut', () => {
    const sink = new Collector();
    const decoder = new FrameDecoder(sink);
    sink.onFrame = () => decoder.stop();
    const bytes = Buffer.concat([make(1, 'aaaa'), make(2, 'b')]);
    decoder.push(bytes, 0, 7);
    decoder.push(bytes, 7, bytes.length);
    assert.equal(sink.frames.length, 1);
    assert.equal(decoder.bufferedBytes, 0);
  });

  it('may be stopped while waiting', () => {
    const sink = new Collector();
    sink.judge = () => HeaderVerdict.Wait;
    const decoder = new FrameDecoder(sink);
    const bytes = make(1, 'abc');
    decoder.push(bytes, 0, bytes.length);
    assert.deepEqual([decoder.waiting, decoder.bufferedBytes], [true, bytes.length]);
    decoder.stop();
    decoder.resume();
    assert.deepEqual([decoder.waiting, decoder.bufferedBytes, sink.headers.length], [false, 0, 1]);
  });

  it('takes an empty read and an early resume for nothing', () => {
    const sink = new Collector();
    const decoder = new FrameDecoder(sink);
    const bytes = make(1, 'abc');
    decoder.resume();
    for (let at = 0; at < bytes.length; at++) {
      decoder.push(bytes, at, at);
      decoder.push(bytes, at, at + 1);
    }
    assert.deepEqual(sink.frames, [{ type: 1, payload: 'abc' }]);
  });
});
