import { canonicalIp } from '../../base/ip-address.ts';
import type { Endpoint } from '../port.ts';
import {
  deliverHeld,
  EndingStream,
  LARGEST_READ_BYTES,
  Phase,
  reportClosed,
  type StreamFacts,
} from '../shared/ending-stream.ts';
import type { BunSocket, SocketOwner } from './api.ts';

/**
 * Small reads are handed over in one buffer for all streams. Bun makes a new one for each read, and reading words
 * from it through a view makes it three times as dear to collect: at 20,000 reads a second that was the p99 of a packet.
 */
const WINDOW_BYTES = 16_384;
const readWindow = Buffer.allocUnsafeSlow(WINDOW_BYTES);

/** What a {@link BunStream} is made of. */
export interface StreamParts extends StreamFacts {
  readonly socket: BunSocket;
}

/**
 * A Bun socket as a port stream.
 *
 * While a stream is paused, Bun does not report the peer's FIN (a reset it does): the stream then learns of it when it
 * is resumed, or by the reset that answers the next write. Sessions write keep-alives, HTTP has deadlines of its own.
 */
export class BunStream extends EndingStream implements SocketOwner {
  readonly #socket: BunSocket;
  #local: Endpoint | null = null;
  /** The socket itself was paused, at the end of a turn. */
  #socketPaused = false;
  /** A write was not taken whole. */
  #blocked = false;

  /** Takes the socket over. */
  constructor(parts: StreamParts) {
    super(parts);
    this.#socket = parts.socket;
    parts.socket.data = this;
  }

  get local(): Endpoint {
    // Asked for rarely, so that it is not made for every connection; afterwards it is kept, as on Node.
    this.#local ??= localEndpoint(this.#socket);
    return this.#local;
  }

  /** Keeps `early` and what else arrives until the next turn of the loop: the caller does not have the stream yet. */
  hold(early?: Buffer): void {
    if (this.phase !== Phase.Open) return;
    this.held ??= [];
    if (early !== undefined) this.held.push(early);
    setImmediate(deliverHeld, this);
  }

  write(buffer: Buffer, from: number, to: number): number {
    if (this.phase !== Phase.Open || this.isSocketClosed) return -1;
    // Bun might take a byte or two before it says that there is room.
    if (this.#blocked || from >= to) return 0;
    const wanted = to - from;
    const taken = this.#socket.write(buffer, from, wanted);
    // The write has taken the reset from the kernel: a paused reader would hear of nothing but a FIN, when it resumes.
    if (taken < 0) this.terminate('reset');
    if (taken < wanted) this.#blocked = true;
    return taken;
  }

  pause(): void {
    if (this.isPaused || this.phase !== Phase.Open) return;
    this.isPaused = true;
    // A reader that has used up its budget resumes at the end of the turn: then the socket need not hear of it.
    if (!this.#socketPaused) pauseSocketLater(this);
  }

  /** Nobody takes bytes at the end of the turn: stops the socket, so that TCP pushes back on the peer. */
  settlePause(): void {
    if (this.isPaused || this.held !== null) this.#pauseSocket();
  }

  #pauseSocket(): void {
    if (this.#socketPaused || this.isSocketClosed || this.phase !== Phase.Open) return;
    this.#socketPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.isPaused || this.phase !== Phase.Open) return;
    this.isPaused = false;
    if (this.held === null) this.#resumeSocket();
    else if (!this.isDelivering) setImmediate(deliverHeld, this);
  }

  #resumeSocket(): void {
    if (!this.#socketPaused || this.isSocketClosed) return;
    this.#socketPaused = false;
    this.#socket.resume();
  }

  protected override endSocket(): void {
    this.#resumeSocket();
    this.#socket.shutdown();
  }

  get peer(): Endpoint {
    return remoteEndpoint(this.#socket) ?? this.remote;
  }

  protected override resetSocket(): void {
    this.#socket.terminate();
  }

  connected(): void {
    // A stream is made after that.
  }

  secured(): void {
    // A stream is made after that.
  }

  received(chunk: Buffer): void {
    if (this.phase !== Phase.Open) return;
    if (this.isPaused || this.held !== null) this.#hold(chunk);
    else if (chunk.length <= WINDOW_BYTES) this.handler.bytes(this, readWindow, 0, chunk.copy(readWindow));
    else this.#deliverInParts(chunk);
  }

  /** Bun reads up to 512 KiB at once. In parts, so that a reader's budget means something. */
  #deliverInParts(chunk: Buffer): void {
    let from = 0;
    while (from < chunk.length && !this.isPaused && this.phase === Phase.Open) {
      const start = from;
      from = Math.min(start + LARGEST_READ_BYTES, chunk.length);
      this.handler.bytes(this, chunk, start, from);
    }
    if (from < chunk.length) this.#hold(chunk.subarray(from));
  }

  #hold(chunk: Buffer): void {
    if (this.held === null) this.held = [chunk];
    else this.held.push(chunk);
    // At once: Bun goes on reading half a megabyte at a time from a socket that has more, all within one turn.
    this.#pauseSocket();
  }

  drained(): void {
    if (!this.#blocked || this.phase !== Phase.Open) return;
    this.#blocked = false;
    this.handler.writable(this);
  }

  /** The peer's FIN. Half-open streams are not supported: Bun closes our side too. */
  peerEnded(): void {
    if (this.phase === Phase.Open) this.reason ??= 'end';
  }

  failed(): void {
    this.terminate('reset');
  }

  socketClosed(error: Error | null): void {
    this.isSocketClosed = true;
    if (this.phase === Phase.Open && error !== null) {
      this.reason ??= 'reset';
      // Bun still hands over what came before a reset. A paused reader may never ask for it, and has to be told.
      if (this.isPaused) this.held = null;
    }
    // Later, because this may be called inside one of our own calls to the socket.
    if (this.phase !== Phase.Open || this.held === null) process.nextTick(reportClosed, this);
  }

  protected override goOn(): void {
    this.#resumeSocket();
  }
}

/** The other end of a connected socket, or null when it is gone already. */
export function remoteEndpoint(socket: BunSocket): Endpoint | null {
  const { remoteAddress, remotePort } = socket;
  return remoteAddress === undefined || remotePort === undefined
    ? null
    : { ip: canonicalIp(remoteAddress), port: remotePort };
}

function localEndpoint(socket: BunSocket): Endpoint {
  return { ip: canonicalIp(socket.localAddress ?? ''), port: socket.localPort ?? 0 };
}

let pausing: BunStream[] = [];

/** Immediates run before the loop looks for new bytes, and those that resume readers run before this one. */
function pauseSocketLater(stream: BunStream): void {
  if (pausing.length === 0) setImmediate(settlePauses);
  pausing.push(stream);
}

function settlePauses(): void {
  const streams = pausing;
  pausing = [];
  for (const stream of streams) stream.settlePause();
}
