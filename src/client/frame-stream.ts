import { FrameDecoder, type FrameSink, type HeaderVerdict } from '../wire/frame-decoder.ts';

/** A frame decoder whose sink may change between two frames: first the handshake, then the client, with no byte lost. */
export class FrameStream implements FrameSink {
  /** Who gets the next frame. */
  sink: FrameSink;
  readonly #decoder: FrameDecoder = new FrameDecoder(this);

  constructor(sink: FrameSink) {
    this.sink = sink;
  }

  /** Decodes bytes `[from, to)`. */
  push(buffer: Buffer, from: number, to: number): void {
    this.#decoder.push(buffer, from, to);
  }

  /** Decodes nothing more. */
  stop(): void {
    this.#decoder.stop();
  }

  header(type: number, payloadBytes: number): HeaderVerdict {
    return this.sink.header(type, payloadBytes);
  }

  frame(type: number, buffer: Buffer, from: number, to: number): void {
    this.sink.frame(type, buffer, from, to);
  }
}
