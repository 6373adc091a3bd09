import type { Socket } from 'node:net';
import { canonicalIp } from '../../base/ip-address.ts';
import type { Endpoint, StreamHandler } from '../port.ts';
import { deliverHeld, BaseStream, Phase, type StreamFacts } from '../shared/base-stream.ts';
import type { FastRead } from './fast-read.ts';

const OWNER = Symbol('stream');
type OwnedSocket = Socket & { [OWNER]: NodeStream };

/** Parameters of a {@link NodeStream}. `raw` is the TCP socket below TLS, or `socket` itself. */
export interface StreamParts extends StreamFacts {
  readonly socket: Socket;
  readonly raw: Socket;
  readonly local: Endpoint;
}

/** A Node socket as a port stream. */
export class NodeStream extends BaseStream {
  readonly local: Endpoint;
  readonly #socket: OwnedSocket;
  readonly #raw: Socket;
  readonly #copies: boolean;
  #softPaused = false;
  #writing = false;
  #peerEnded = false;

  constructor(parts: StreamParts) {
    super(parts);
    this.local = parts.local;
    this.#socket = Object.assign(parts.socket, { [OWNER]: this });
    this.#raw = parts.raw;
    // TLS has encrypted or copied the bytes when write() returns; a plain socket may keep the caller's buffer.
    this.#copies = parts.tls === null;
    this.#socket.on('end', onEnd).on('error', onError).on('close', onClose);
  }

  /** Starts reading, into the shared window where the runtime can. */
  start(handler: StreamHandler, fastRead: FastRead | null): void {
    this.handler = handler;
    if (this.phase === Phase.Aborted) return;
    const early: unknown = this.#socket.readableLength > 0 ? this.#socket.read() : null;
    if (fastRead?.attach(this.#socket, onWindow) !== true) this.#socket.on('data', onData);
    if (Buffer.isBuffer(early)) this.#hold(early);
    if (this.held !== null) setImmediate(deliverHeld, this);
    else if (!this.isPaused && !this.#softPaused) this.#socket.resume();
  }

  write(buffer: Buffer, from: number, to: number): number {
    if (this.phase !== Phase.Open || !this.#socket.writable) return -1;
    if (this.#writing || from >= to) return 0;
    this.#writing = true;
    const bytes = buffer.subarray(from, to);
    this.#socket.write(this.#copies ? Buffer.from(bytes) : bytes, this.#onWritten);
    return to - from;
  }

  pause(how?: 'soft'): void {
    if (this.isPaused || this.phase !== Phase.Open) return;
    if (how === 'soft') this.#softPaused = true;
    else this.isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    if ((!this.isPaused && !this.#softPaused) || this.phase !== Phase.Open) return;
    this.isPaused = this.#softPaused = false;
    if (this.held === null) this.#socket.resume();
    else if (!this.isDelivering) setImmediate(deliverHeld, this);
  }

  protected override endSocket(): void {
    this.#socket.end();
    // Unread bytes would turn our FIN into a reset that may overtake what was flushed.
    this.#socket.resume();
  }

  get peer(): Endpoint {
    return { ip: canonicalIp(this.#raw.remoteAddress ?? ''), port: this.#raw.remotePort ?? 0 };
  }

  protected override resetSocket(): void {
    if (this.#raw.destroyed) this.#socket.destroy();
    else this.#raw.resetAndDestroy();
  }

  readonly #onWritten = (error?: Error | null): void => {
    this.#writing = false;
    if (error === undefined || error === null) this.#tellWritable();
  };

  #tellWritable(): void {
    if (this.phase === Phase.Open) this.handler.writable(this);
  }

  /** Takes bytes from Node. Returns whether reading may continue. */
  received(buffer: Buffer, from: number, to: number): boolean {
    if (this.phase !== Phase.Open) return this.phase === Phase.Finishing;
    if (this.isPaused || this.held !== null) {
      this.#hold(Buffer.from(buffer.subarray(from, to)));
      return false;
    }
    this.deliver(buffer, from, to);
    return !(this.#softPaused || this.isPaused);
  }

  #hold(bytes: Buffer): void {
    if (this.held === null) this.held = [bytes];
    else this.held.push(bytes);
    this.#socket.pause();
  }

  protected override goOn(): void {
    if (this.#peerEnded) this.#socket.destroy();
    else if (!this.#softPaused) this.#socket.resume();
  }

  /** The peer's FIN. Half-open streams are not supported: our side closes too. */
  peerEnded(): void {
    if (this.phase !== Phase.Open) return;
    this.#peerEnded = true;
    this.reason ??= 'end';
    if (this.held === null) this.#socket.destroy();
  }

  /** A reset or a TLS error. After TLS errors Node leaves the socket open. */
  socketFailed(): void {
    this.terminate(this.phase === Phase.Finishing ? 'local' : 'reset');
  }

  /** The descriptor is gone. */
  socketClosed(): void {
    this.isSocketClosed = true;
    if (this.phase !== Phase.Open || this.held === null) this.reportClosed();
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
