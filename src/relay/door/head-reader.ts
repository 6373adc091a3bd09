import type { Stream, StreamHandler } from '../../transport/port.ts';
import { GatheredBytes } from '../../wire/gathered-bytes.ts';
import type { DoorConnection } from './door-connection.ts';

/** The blank line that ends a request head. */
export const HEAD_END: Buffer = Buffer.from('\r\n\r\n');

/** Receives the result of reading a request head: one of these calls, once. */
export interface HeadListener {
  /** The head is complete at `headEnd` (the offset of the blank line); `received` is everything so far, valid during the call. */
  complete(reader: HeadReader, received: Buffer, headEnd: number): void;
  /** The head is larger than it may be. */
  tooLarge(reader: HeadReader): void;
  /** The stream ended. */
  gone(reader: HeadReader): void;
}

/** Collects the head of one stream. It copies nothing when the head arrives in one piece, which is usual. */
export class HeadReader implements StreamHandler {
  readonly stream: Stream;
  readonly connection: DoorConnection;
  readonly deadline: number;
  readonly #listener: HeadListener;
  readonly #limitBytes: number;
  #received: GatheredBytes | null = null;
  #done = false;

  constructor(
    listener: HeadListener,
    limitBytes: number,
    deadline: number,
    stream: Stream,
    connection: DoorConnection,
  ) {
    this.#listener = listener;
    this.#limitBytes = limitBytes;
    this.deadline = deadline;
    this.stream = stream;
    this.connection = connection;
  }

  bytes(_stream: Stream, buffer: Buffer, from: number, to: number): void {
    if (this.#done) return;
    const before = this.#received?.length ?? 0;
    this.#received?.add(buffer, from, to);
    const all = this.#received?.bytes ?? buffer.subarray(from, to);
    // Earlier bytes were already searched, but the blank line may begin in them.
    const found = all.indexOf(HEAD_END, Math.max(0, before - HEAD_END.length + 1));
    const headBytes = found < 0 ? all.length - HEAD_END.length + 1 : found;
    if (headBytes > this.#limitBytes) {
      this.#end();
      this.#listener.tooLarge(this);
    } else if (found >= 0) {
      this.#end();
      this.#listener.complete(this, all, found);
    } else if (this.#received === null) {
      this.#received = new GatheredBytes();
      this.#received.add(buffer, from, to);
    }
  }

  #end(): void {
    this.#done = true;
    this.#received = null;
  }

  writable(): void {
    // Nothing waits to be written: the only answer is written before the stream is finished.
  }

  closed(): void {
    this.#listener.gone(this);
  }
}
