import type { Socket } from 'node:net';
import { internalError } from '../../base/errors.ts';
import { canonicalIp } from '../../base/ip-address.ts';
import { SlowFinish } from '../shared/slow-finish.ts';
import type { CloseReason, ConnectionHandler, Endpoint, Stream, StreamHandler, TlsFacts } from '../port.ts';
import type { FastRead } from './fast-read.ts';

const Phase = { Open: 0, Finishing: 1, Aborted: 2, Closed: 3 } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

const OWNER = Symbol('stream');
type OwnedSocket = Socket & { [OWNER]: NodeStream };

const NOBODY: StreamHandler = { bytes: () => undefined, writable: () => undefined, closed: () => undefined };

/** What a {@link NodeStream} is made of. `raw` is the TCP socket below TLS, or `socket` itself. */
export interface StreamParts {
  readonly socket: Socket;
  readonly raw: Socket;
  readonly remote: Endpoint;
  readonly local: Endpoint;
  readonly tls: TlsFacts | null;
  /** Told when the stream is gone; null on the client side. */
  readonly connection: ConnectionHandler | null;
}

/** A Node socket as a port stream. */
export class NodeStream implements Stream {
  remote: Endpoint;
  readonly local: Endpoint;
  readonly tls: TlsFacts | null;
  readonly connection: ConnectionHandler | null;
  handler: StreamHandler = NOBODY;
  readonly #socket: OwnedSocket;
  readonly #raw: Socket;
  readonly #copies: boolean;
  #phase: Phase = Phase.Open;
  #reason: CloseReason | null = null;
  #paused = false;
  #softPaused = false;
  #writing = false;
  /** Bytes that Node had already decrypted when the reader paused. */
  #held: Buffer[] | null = null;
  #delivering = false;
  #peerEnded = false;
  #socketClosed = false;
  /** Of `finish`. */
  #deadline: SlowFinish | null = null;

  constructor(parts: StreamParts) {
    this.remote = parts.remote;
    this.local = parts.local;
    this.tls = parts.tls;
    this.#socket = Object.assign(parts.socket, { [OWNER]: this });
    this.#raw = parts.raw;
    this.connection = parts.connection;
    // TLS has encrypted or copied the bytes when write() returns; a plain socket may keep the caller's buffer.
    this.#copies = parts.tls === null;
    this.#socket.on('end', onEnd).on('error', onError).on('close', onClose);
  }

  /** Starts reading, into the shared window where the runtime can. */
  start(handler: StreamHandler, fastRead: FastRead | null): void {
    this.handler = handler;
    if (this.#phase === Phase.Aborted) return;
    const early: unknown = this.#socket.readableLength > 0 ? this.#socket.read() : null;
    if (fastRead?.attach(this.#socket, onWindow) !== true) this.#socket.on('data', onData);
    if (Buffer.isBuffer(early)) this.#hold(early);
    if (this.#held !== null) setImmediate(deliverHeld, this);
    else if (!this.#paused && !this.#softPaused) this.#socket.resume();
  }

  write(buffer: Buffer, from: number, to: number): number {
    if (this.#phase !== Phase.Open || !this.#socket.writable) return -1;
    if (this.#writing || from >= to) return 0;
    this.#writing = true;
    const bytes = buffer.subarray(from, to);
    this.#socket.write(this.#copies ? Buffer.from(bytes) : bytes, this.#onWritten);
    return to - from;
  }

  pause(how?: 'soft'): void {
    if (this.#paused || this.#phase !== Phase.Open) return;
    if (how === 'soft') this.#softPaused = true;
    else this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if ((!this.#paused && !this.#softPaused) || this.#phase !== Phase.Open) return;
    this.#paused = this.#softPaused = false;
    if (this.#held === null) this.#socket.resume();
    else if (!this.#delivering) setImmediate(deliverHeld, this);
  }

  finish(deadlineMs: number): void {
    if (this.#phase !== Phase.Open) return;
    this.#phase = Phase.Finishing;
    this.#held = null;
    if (this.#socketClosed) {
      process.nextTick(reportClosed, this);
      return;
    }
    this.#deadline = new SlowFinish(this, deadlineMs, () => this.#terminate('deadline'));
    this.#socket.end();
    // What the peer still sends is read and dropped: unread bytes would turn our FIN into a reset that may overtake
    // what was flushed, and the peer's FIN could not be seen.
    this.#socket.resume();
  }

  abort(): void {
    this.#terminate('local');
  }

  get peer(): Endpoint {
    return { ip: canonicalIp(this.#raw.remoteAddress ?? ''), port: this.#raw.remotePort ?? 0 };
  }

  #terminate(reason: CloseReason): void {
    if (this.#phase >= Phase.Aborted) return;
    this.#phase = Phase.Aborted;
    this.#reason ??= reason;
    this.#held = null;
    this.#deadline?.stop();
    if (this.#socketClosed) process.nextTick(reportClosed, this);
    else if (this.#raw.destroyed) this.#socket.destroy();
    else this.#raw.resetAndDestroy();
  }

  readonly #onWritten = (error?: Error | null): void => {
    this.#writing = false;
    if (error === undefined || error === null) this.#tellWritable();
  };

  #tellWritable(): void {
    if (this.#phase === Phase.Open) this.handler.writable(this);
  }

  /** Bytes from Node. Returns whether reading may go on. */
  received(buffer: Buffer, from: number, to: number): boolean {
    if (this.#phase !== Phase.Open) return this.#phase === Phase.Finishing;
    if (this.#paused || this.#held !== null) {
      this.#hold(Buffer.from(buffer.subarray(from, to)));
      return false;
    }
    this.#deliver(buffer, from, to);
    return !(this.#softPaused || this.#paused);
  }

  /** What the handler throws is a bug, which costs this connection and no other. */
  #deliver(buffer: Buffer, from: number, to: number): void {
    try {
      this.handler.bytes(this, buffer, from, to);
    } catch (error) {
      internalError('socket', error);
      this.#terminate('local');
    }
  }

  #hold(bytes: Buffer): void {
    if (this.#held === null) this.#held = [bytes];
    else this.#held.push(bytes);
    this.#socket.pause();
  }

  /** Hands over what was held while paused, then lets the socket go on. */
  deliverHeld(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    while (!this.#paused && this.#phase === Phase.Open && this.#held !== null) {
      const next = this.#held.shift();
      if (next === undefined) this.#held = null;
      else this.#deliver(next, 0, next.length);
    }
    this.#delivering = false;
    if (this.#paused || this.#phase !== Phase.Open) return;
    if (this.#socketClosed) this.reportClosed();
    else if (this.#peerEnded) this.#socket.destroy();
    else if (!this.#softPaused) this.#socket.resume();
  }

  /** The peer's FIN. Half-open streams are not supported: our side closes too. */
  peerEnded(): void {
    if (this.#phase !== Phase.Open) return;
    this.#peerEnded = true;
    this.#reason ??= 'end';
    if (this.#held === null) this.#socket.destroy();
  }

  /** A reset or a TLS error. After TLS errors Node leaves the socket open. */
  socketFailed(): void {
    this.#terminate(this.#phase === Phase.Finishing ? 'local' : 'reset');
  }

  /** The descriptor is gone. */
  socketClosed(): void {
    this.#socketClosed = true;
    if (this.#phase !== Phase.Open || this.#held === null) this.reportClosed();
  }

  reportClosed(): void {
    if (this.#phase === Phase.Closed) return;
    const reason = this.#reason ?? (this.#phase === Phase.Open ? 'reset' : 'local');
    this.#phase = Phase.Closed;
    this.#deadline?.stop();
    this.handler.closed(this, reason);
    this.connection?.released();
  }
}

// One function for all sockets instead of closures per connection.
function onData(this: OwnedSocket, chunk: Buffer): void {
  this[OWNER].received(chunk, 0, chunk.length);
}

function onWindow(this: Socket, bytes: number, window: Buffer): boolean {
  return (this as OwnedSocket)[OWNER].received(window, 0, bytes);
}

function onEnd(this: OwnedSocket): void {
  this[OWNER].peerEnded();
}

function onError(this: OwnedSocket): void {
  this[OWNER].socketFailed();
}

function onClose(this: OwnedSocket): void {
  this[OWNER].socketClosed();
}

function deliverHeld(stream: NodeStream): void {
  stream.deliverHeld();
}

function reportClosed(stream: NodeStream): void {
  stream.reportClosed();
}
