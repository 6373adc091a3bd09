import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { ControlError } from '../../src/tailnet/control-error.ts';
import { MapFrames, type MapCompression } from '../../src/tailnet/map-frames.ts';

const LIMIT = 1000;

function packed(value: unknown, compression: MapCompression): Buffer {
  const json = Buffer.from(JSON.stringify(value));
  const body = compression === 'zstd' ? zstdCompressSync(json) : json;
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([length, body]);
}

function read(chunks: readonly Buffer[], compression: MapCompression = 'none'): unknown[] {
  const frames = new MapFrames(compression, LIMIT);
  const got: unknown[] = [];
  for (const chunk of chunks) frames.push(chunk, (json) => got.push(json));
  return got;
}

describe('frames of a map stream', () => {
  it('come out as they went in, however they are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.jsonValue({ maxDepth: 2 }), { maxLength: 6 }),
        fc.constantFrom('none' as const, 'zstd' as const),
        fc.integer({ min: 1, max: 40 }),
        (values, compression, step) => {
          const whole = Buffer.concat(values.map((value) => packed(value, compression)));
          const chunks: Buffer[] = [];
          for (let at = 0; at < whole.length; at += step) chunks.push(whole.subarray(at, at + step));
          assert.deepEqual(read(chunks, compression), JSON.parse(JSON.stringify(values)));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('are refused when they are too long, packed or unpacked, before anything is kept', () => {
    const length = Buffer.from([0xff, 0xff, 0xff, 0xff]);
    assert.throws(() => read([length]), /4294967295 bytes is longer than peerRelay\.limits\.mapBytes \(1000\)/);
    assert.throws(
      () => read([packed('x'.repeat(100_000), 'zstd')], 'zstd'),
      /is longer than peerRelay\.limits\.mapBytes/,
    );
  });

  it('are refused when they are no JSON or no zstd', () => {
    const frame = Buffer.concat([Buffer.from([3, 0, 0, 0]), Buffer.from('{x}')]);
    assert.throws(() => read([frame]), ControlError);
    assert.throws(() => read([frame], 'zstd'), /not zstd/);
    assert.throws(() => read([Buffer.alloc(4)]), /not JSON/);
  });
});
