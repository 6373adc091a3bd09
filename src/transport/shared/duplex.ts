import { Duplex } from 'node:stream';
import { deadlines } from '../../base/deadlines.ts';
import type { CloseReason, Stream, StreamHandler } from '../port.ts';

/** How long a peer may take to read the rest and close, after `end()`. */
const FINISH_DEADLINE_MS = 5000;

/** A `Duplex` for HTTP with the facts of its connection, as `net.Socket` has them. */
export interface SocketLike extends Duplex {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly encrypted: boolean;
  /**
   * Gives the stream back once it has taken all written bytes: `released` is called with `early` and the other bytes
   * that were read and not used. The duplex closes. When this takes too long or the peer has left, the stream is
   * aborted.
   */
  release(early: Buffer, released: (stream: Stream, received: Buffer) => void): void;
}

/**
 * Wraps a stream so that `http.createServer().emit('connection', duplex)` and `ws` can use it; sets `stream.handler`.
 * `head` is what was already read of it. `end()` finishes the stream, `destroy()` aborts it.
 */
export function streamToDuplex(stream: Stream, head: Buffer): SocketLike {
  const duplex = new StreamDuplex(stream);
  if (head.length > 0) duplex.received(head, 0, head.length);
  return duplex;
}

type WriteCallback = (error?: Error | null) => void;

class StreamDuplex extends Duplex implements SocketLike {
  readonly #stream: Stream;
  #ended = false;
  /** True when the stream has taken all that was written. */
  #answered = false;
  #timeoutMs = 0;
  /** A write that the stream has not taken in full. */
  #chunk: Buffer | null = null;
  #chunkAt = 0;
  #written: WriteCallback = noCallback;
  /** True when the stream was given back or has ended. */
  #isDetached = false;

  constructor(stream: Stream) {
    super({ allowHalfOpen: false });
    this.#stream = stream;
    stream.handler = new DuplexFeeder(this);
  }

  get remoteAddress(): string {
    return this.#stream.remote.ip;
  }

  get remotePort(): number {
    return this.#stream.remote.port;
  }

  get localAddress(): string {
    return this.#stream.local.ip;
  }

  get localPort(): number {
    return this.#stream.local.port;
  }

  get encrypted(): boolean {
    return this.#stream.tls !== null;
  }

  /** Bytes for the reader; copied, because the read buffer is used again. */
  received(buffer: Buffer, from: number, to: number): void {
    this.#refreshTimeout();
    if (!this.push(Buffer.from(buffer.subarray(from, to)))) this.#stream.pause();
  }

  /** Offers what is left of the current write. */
  pump(): void {
    const chunk = this.#chunk;
    if (chunk === null) return;
    this.#refreshTimeout();
    while (this.#chunkAt < chunk.length) {
      const taken = this.#stream.write(chunk, this.#chunkAt, chunk.length);
      if (taken === 0) return;
      if (taken < 0) {
        this.connectionLost();
        return;
      }
      this.#chunkAt += taken;
    }
    this.#chunk = null;
    this.#answered = true;
    const written = this.#written;
    this.#written = noCallback;
    written();
  }

  /** The stream below is gone. After the peer's FIN the reader still gets what has arrived. */
  streamClosed(reason: CloseReason): void {
    deadlines.delete(this);
    this.#isDetached = true;
    if (reason === 'end' && this.#chunk === null && !this.destroyed) this.push(null);
    else this.connectionLost();
  }

  /** Destroys without an 'error' event: 'close' is enough, and an unhandled 'error' would end the process. */
  connectionLost(): void {
    this.destroy();
    const written = this.#written;
    this.#chunk = null;
    this.#written = noCallback;
    written(new Error('The connection is closed'));
  }

  /** The time set by `setTimeout` has passed without bytes. */
  expired(): void {
    this.emit('timeout');
  }

  override _read(): void {
    this.#stream.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#answered = false;
    this.#chunk = chunk;
    this.#chunkAt = 0;
    this.#written = callback;
    this.pump();
  }

  override _writev(chunks: { chunk: Buffer }[], callback: WriteCallback): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'latin1', callback);
  }

  override _final(callback: WriteCallback): void {
    this.#ended = true;
    this.#stream.finish(FINISH_DEADLINE_MS);
    callback();
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    deadlines.delete(this);
    // After finish() the stream has its own deadline; aborting now could take the last bytes back. So it could where an answer
    // was given and a slow reader has not got all of it: HTTP ends idle connections this way.
    const isOurs = !this.#ended && !this.#isDetached;
    if (isOurs && this.#answered && error === null) this.#stream.finish(FINISH_DEADLINE_MS);
    else if (isOurs) this.#stream.abort();
    callback(error);
  }

  release(early: Buffer, released: (stream: Stream, received: Buffer) => void): void {
    this.setTimeout(FINISH_DEADLINE_MS, () => this.destroy());
    // An empty write is done when all writes before it are.
    this.write(NOTHING, (error) => {
      if (this.#isDetached || this.destroyed || (error !== undefined && error !== null)) {
        this.destroy();
        return;
      }
      const received = [early];
      for (let chunk = this.#take(); chunk !== null; chunk = this.#take()) received.push(chunk);
      this.#isDetached = true;
      this.destroy();
      this.#stream.resume();
      released(this.#stream, Buffer.concat(received));
    });
  }

  #take(): Buffer | null {
    return this.read() as Buffer | null;
  }

  /**
   * As `net.Socket`: emits 'timeout' after this time without bytes in either direction, 0 means never. HTTP keep-alive
   * needs it.
   */
  setTimeout(timeoutMs: number, listener?: () => void): this {
    this.#timeoutMs = timeoutMs;
    if (listener !== undefined) this.once('timeout', listener);
    if (timeoutMs > 0) this.#refreshTimeout();
    else deadlines.delete(this);
    return this;
  }

  #refreshTimeout(): void {
    if (this.#timeoutMs > 0 && !this.destroyed) deadlines.add(this, this.#timeoutMs);
  }

  /** The adapter has set this already. */
  setNoDelay(): this {
    return this;
  }

  /** The adapter has set this already. */
  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

const NOTHING = Buffer.alloc(0);

function noCallback(): void {}

/** The stream's handler; a class of its own because `writable` and `closed` are properties of every Duplex. */
class DuplexFeeder implements StreamHandler {
  readonly #duplex: StreamDuplex;

  constructor(duplex: StreamDuplex) {
    this.#duplex = duplex;
  }

  bytes(_stream: Stream, buffer: Buffer, from: number, to: number): void {
    this.#duplex.received(buffer, from, to);
  }

  writable(): void {
    this.#duplex.pump();
  }

  closed(_stream: Stream, reason: CloseReason): void {
    this.#duplex.streamClosed(reason);
  }
}
