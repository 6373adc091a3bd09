import { zstdDecompressSync } from 'node:zlib';
import { errorMessage } from '../base/errors.ts';
import { ControlError } from './control-error.ts';

const LENGTH_BYTES = 4;
const NOTHING = Buffer.alloc(0);

/** Compression of the frames of a map stream. */
export type MapCompression = 'zstd' | 'none';

/**
 * Cuts the answer to a map request into its frames (peer-relay reference §15.3): length(4, little-endian), then JSON,
 * packed by itself when zstd was asked for.
 */
export class MapFrames {
  readonly #compression: MapCompression;
  readonly #limitBytes: number;
  readonly #header = Buffer.alloc(LENGTH_BYTES);
  #headerFilled = 0;
  #body: Buffer = NOTHING;
  #bodyFilled = 0;

  /** A frame has at most `limitBytes`, packed and unpacked. */
  constructor(compression: MapCompression, limitBytes: number) {
    this.#compression = compression;
    this.#limitBytes = limitBytes;
  }

  /** Takes the next bytes and calls `frame` with the JSON of each frame that they complete. Throws a {@link ControlError}. */
  push(chunk: Buffer, frame: (json: unknown) => void): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#headerFilled < LENGTH_BYTES) {
        this.#header[this.#headerFilled++] = chunk[at++]!;
        if (this.#headerFilled === LENGTH_BYTES) this.#begin(this.#header.readUInt32LE(0));
        if (this.#headerFilled < LENGTH_BYTES || this.#body.length > 0) continue;
      } else {
        const copied = chunk.copy(this.#body, this.#bodyFilled, at);
        at += copied;
        this.#bodyFilled += copied;
        if (this.#bodyFilled < this.#body.length) return;
      }
      const body = this.#body;
      this.#headerFilled = 0;
      this.#body = NOTHING;
      frame(this.#parse(body));
    }
  }

  #begin(length: number): void {
    if (length > this.#limitBytes) throw this.#tooLong(length);
    this.#body = Buffer.allocUnsafeSlow(length);
    this.#bodyFilled = 0;
  }

  #parse(body: Buffer): unknown {
    const text = this.#compression === 'none' ? body : this.#unpack(body);
    try {
      return JSON.parse(text.toString('utf8'));
    } catch (error) {
      throw new ControlError('protocol', `a frame of the network map is not JSON: ${errorMessage(error)}`);
    }
  }

  #unpack(body: Buffer): Buffer {
    try {
      return zstdDecompressSync(body, { maxOutputLength: this.#limitBytes });
    } catch (error) {
      if (error instanceof RangeError) throw this.#tooLong(null);
      throw new ControlError('protocol', `a frame of the network map is not zstd: ${errorMessage(error)}`);
    }
  }

  #tooLong(length: number | null): ControlError {
    const size = length === null ? '' : ` of ${length} bytes`;
    return new ControlError(
      'protocol',
      `a frame of the network map${size} is longer than peerRelay.limits.mapBytes (${this.#limitBytes}); raise it if the tailnet is that large`,
    );
  }
}
