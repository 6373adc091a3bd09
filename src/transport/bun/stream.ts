import { canonicalIp } from '../../base/ip-address.ts';
import type { Endpoint } from '../port.ts';
import {
  deliverHeld,
  BaseStream,
  LARGEST_READ_BYTES,
  Phase,
  reportClosed,
  type StreamFacts,
} from '../shared/base-stream.ts';
import type { BunSocket, SocketOwner } from './api.ts';

/**
 * Small reads are handed over in one buffer for all streams. Bun makes a new buffer for each read. Reading words from
 * it through a view makes its garbage collection three times as expensive: at 20,000 reads a second that set the p99
 * latency of packets.
 */
const WINDOW_BYTES = 16_384;
const readWindow = Buffer.allocUnsafeSlow(WINDOW_BYTES);

/** Parameters of a {@link BunStream}. */
export interface StreamParts extends StreamFacts {
  readonly socket: BunSocket;
}

/**
 * A Bun socket as a port stream.
 *
 * While a stream is paused, Bun reports a reset but not the peer's FIN. The stream learns of the FIN when it is
 * resumed, or by the reset that answers the next write. Sessions write keep-alives, and HTTP has its own deadlines.
 */
export class BunStream extends BaseStream implements SocketOwner {
  readonly #socket: BunSocket;
  #local: Endpoint | null = null;
  /** True when the socket itself is paused, which happens at the end of a turn. */
  #socketPaused = false;
  /** True when the last write was not taken in full. */
  #blocked = false;

  /** Takes the socket over. */
  constructor(parts: StreamParts) {
    super(parts);
    this.#socket = parts.socket;
    parts.socket.data = this;
  }

  get local(): Endpoint {
    // Made on the first call, because most connections never need it. Afterwards it is kept, as on Node.
    this.#local ??= localEndpoint(this.#socket);
    return this.#local;
  }

  /**
   * Keeps `early` and further bytes until the next turn of the loop, because the caller does not have the stream yet.
   */
  hold(early?: Buffer): void {
    if (this.phase !== Phase.Open) return;
    this.held ??= [];
    if (early !== undefined) this.held.push(early);
    setImmediate(deliverHeld, this);
  }

  write(buffer: Buffer, from: number, to: number): number {
    if (this.phase !== Phase.Open || this.isSocketClosed) return -1;
    // Bun could take a few bytes before it reports that there is room.
    if (this.#blocked || from >= to) return 0;
    const wanted = to - from;
    const taken = this.#socket.write(buffer, from, wanted);
    // The write has consumed the reset: a paused reader would only see a FIN, when it resumes.
    if (taken < 0) this.terminate('reset');
    if (taken < wanted) this.#blocked = true;
    return taken;
  }

  pause(): void {
    if (this.isPaused || this.phase !== Phase.Open) return;
    this.isPaused = true;
    // A reader that has used up its budget resumes at the end of the turn. The socket then need not be paused.
    if (!this.#socketPaused) pauseSocketLater(this);
  }

  /** Pauses the socket when the stream is still paused at the end of the turn, so that TCP slows the peer down. */
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

  /** Delivers in parts, so that a reader can stop after its budget: Bun reads up to 512 KiB at once. */
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
    // Not at the end of the turn: Bun would go on reading half a megabyte at a time within this turn.
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
      // Bun still delivers the bytes before a reset. A paused reader may never take them, and must learn of the reset.
      if (this.isPaused) this.held = null;
    }
    // Later, because this may be called inside one of our own calls to the socket.
    if (this.phase !== Phase.Open || this.held === null) process.nextTick(reportClosed, this);
  }

  protected override goOn(): void {
    this.#resumeSocket();
  }
}

/** Returns the other end of a connected socket, or null when the connection has ended already. */
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

/** Immediates run before the loop looks for new bytes. The ones that resume readers run before this one. */
function pauseSocketLater(stream: BunStream): void {
  if (pausing.length === 0) setImmediate(settlePauses);
  pausing.push(stream);
}

function settlePauses(): void {
  const streams = pausing;
  pausing = [];
  for (const stream of streams) stream.settlePause();
}
