import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'real-ws';
// The npm package `ws` under another name: Bun replaces `ws` by its own implementation, which does not limit fragments.
import { WebSocketServer } from 'real-ws';
import type { ConnectionHandler, Endpoint, Stream, StreamHandler, TlsFacts } from '../../transport/port.ts';

/** Limits of one WebSocket connection. A message is only a part of the byte stream. */
const MAX_MESSAGE_BYTES = 256 * 1024;
const MAX_FRAGMENTS = 64;
const MAX_BUFFERED_CHUNKS = 1024;
/** Browser clients and upstream's library close beyond this message size (protocol reference §1.6). */
const MAX_SENT_MESSAGE_BYTES = 32_768;
const CLOSE_NORMAL = 1000;
const CLOSE_UNSUPPORTED_DATA = 1003;

/** Makes the WebSocket server that completes upgrades with subprotocol `derp` and without compression. */
export function createWebSocketServer(): WebSocketServer {
  return new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    clientTracking: false,
    maxPayload: MAX_MESSAGE_BYTES,
    maxFragments: MAX_FRAGMENTS,
    maxBufferedChunks: MAX_BUFFERED_CHUNKS,
    handleProtocols: () => 'derp',
  });
}

/**
 * DERP's byte stream in binary WebSocket messages, as a {@link Stream} (protocol reference §1.6). Message boundaries
 * have no meaning. One write is in flight at a time, as on other streams.
 */
export class WebSocketStream implements Stream {
  remote: Endpoint;
  readonly local: Endpoint;
  readonly tls: TlsFacts | null;
  readonly connection: ConnectionHandler | null;
  handler: StreamHandler;
  readonly #socket: WebSocket;
  readonly #under: Stream;
  #inFlight = 0;
  #closed = false;
  #finishing = false;
  readonly #written = (): void => {
    if (--this.#inFlight === 0 && !this.#closed && !this.#finishing) this.handler.writable(this);
  };

  /** `under` is the stream that carries the WebSocket. */
  constructor(socket: WebSocket, under: Stream, handler: (stream: WebSocketStream) => StreamHandler) {
    this.remote = under.remote;
    this.local = under.local;
    this.tls = under.tls;
    this.connection = under.connection;
    this.#socket = socket;
    this.#under = under;
    this.handler = handler(this);
    socket.binaryType = 'nodebuffer';
    socket.on('message', (data: Buffer, isBinary: boolean) => this.#message(data, isBinary));
    socket.on('error', () => undefined);
    socket.on('close', (code: number) => {
      if (this.#closed) return;
      this.#closed = true;
      this.handler.closed(this, this.#finishing ? 'local' : code === 1006 ? 'reset' : 'end');
    });
  }

  get peer(): Endpoint {
    return this.#under.peer;
  }

  write(buffer: Buffer, from: number, to: number): number {
    if (this.#closed || this.#finishing) return -1;
    if (this.#inFlight > 0) return 0;
    // Copied, because ws keeps the payload until its callback, and the caller may overwrite it before.
    const copy = Buffer.from(buffer.subarray(from, to));
    for (let at = 0; at < copy.length; at += MAX_SENT_MESSAGE_BYTES) {
      this.#inFlight++;
      this.#socket.send(copy.subarray(at, at + MAX_SENT_MESSAGE_BYTES), { binary: true }, this.#written);
    }
    return to - from;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  finish(deadlineMs: number): void {
    this.#close(CLOSE_NORMAL, deadlineMs);
  }

  abort(): void {
    this.#finishing = true;
    this.#socket.terminate();
  }

  #message(data: Buffer, isBinary: boolean): void {
    if (this.#finishing || this.#closed) return;
    if (isBinary) this.handler.bytes(this, data, 0, data.length);
    else this.#close(CLOSE_UNSUPPORTED_DATA, REFUSED_FINISH_MS);
  }

  #close(code: number, deadlineMs: number): void {
    if (this.#closed || this.#finishing) return;
    this.#finishing = true;
    // A paused receiver would never see the peer's close frame.
    this.#socket.resume();
    this.#socket.close(code);
    // Not at once: a slow peer that still takes bytes gets more time.
    setTimeout(() => this.#under.finish(deadlineMs), deadlineMs).unref();
  }
}

/** Time limit for a peer that broke the protocol to take the close frame. */
const REFUSED_FINISH_MS = 2000;

/** Completes the upgrade and calls `opened`; the library ws answers a bad request. */
export function acceptWebSocket(
  server: WebSocketServer,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  opened: (socket: WebSocket) => void,
): void {
  server.handleUpgrade(request, socket, head, opened);
}
