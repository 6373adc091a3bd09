import { randomFillSync } from 'node:crypto';
import type { CloseReason, Endpoint, Stream, StreamHandler, TlsFacts } from '../transport/port.ts';

const Opcode = { Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const;
const FIN = 0x80;
const RESERVED_BITS = 0x70;
const MASKED = 0x80;
const MAX_CONTROL_BYTES = 125;
/** Upstream's relay refuses longer messages (§1.6). */
const MAX_MESSAGE_BYTES = 32_768;
/** Header with a 16-bit length, and mask. */
const MAX_OUT_HEADER_BYTES = 8;
const CloseCode = { Normal: 1000, Protocol: 1002, Unsupported: 1003 } as const;
const EMPTY: Buffer = Buffer.alloc(0);

/**
 * The client's side of a DERP WebSocket (§1.6) as a byte stream: the payload of its binary messages, whose boundaries
 * have no meaning. It uses only the transport port, so it behaves the same on both runtimes and back-pressure is exact.
 */
export class WebSocketClientStream implements Stream {
  readonly remote: Endpoint;
  readonly peer: Endpoint;
  readonly local: Endpoint;
  readonly tls: TlsFacts | null;
  readonly connection = null;
  handler: StreamHandler;
  readonly #inner: Stream;
  /** One masked message, or a control frame before it, that the inner stream has not taken yet. */
  #out: Buffer = EMPTY;
  #outFrom = 0;
  /** The header, or the whole control frame, that is not complete yet. */
  #head: Buffer = EMPTY;
  /** Payload bytes of the current data frame still to come. */
  #payloadBytes = 0;
  /** Bytes that came while paused. */
  #held: Buffer;
  #paused = true;
  #ending = false;
  #finishMs = 0;
  /** Set by `finish`: a relay that takes no more bytes must not keep the client open. */
  #timer: NodeJS.Timeout | undefined;
  #sawClose = false;

  /** Starts paused; its user resumes it. `early` is data that came with the response to the upgrade. */
  constructor(inner: Stream, early: Buffer, handler: StreamHandler) {
    this.#inner = inner;
    this.#held = early;
    this.handler = handler;
    this.remote = inner.remote;
    this.peer = inner.peer;
    this.local = inner.local;
    this.tls = inner.tls;
    inner.handler = {
      bytes: (_stream, buffer, from, to) => this.#bytes(buffer, from, to),
      writable: () => this.#writable(),
      closed: (_stream, reason) => this.#closed(reason),
    };
  }

  write(buffer: Buffer, from: number, to: number): number {
    if (this.#ending) return -1;
    let at = from;
    while (at < to && this.#flushed()) {
      const end = Math.min(to, at + MAX_MESSAGE_BYTES);
      this.#queue(Opcode.Binary, buffer.subarray(at, end));
      at = end;
    }
    this.#flushed();
    return at - from;
  }

  pause(): void {
    this.#paused = true;
    this.#inner.pause();
  }

  resume(): void {
    this.#paused = false;
    const held = this.#held;
    this.#held = EMPTY;
    this.#bytes(held, 0, held.length);
    if (!this.#isPaused()) this.#inner.resume();
  }

  finish(deadlineMs: number): void {
    if (this.#ending) return;
    this.#finishMs = deadlineMs;
    this.#timer = setTimeout(() => this.#inner.abort(), deadlineMs).unref();
    this.#end(CloseCode.Normal);
  }

  abort(): void {
    this.#ending = true;
    this.#inner.abort();
  }

  /** True when everything queued was taken. */
  #flushed(): boolean {
    const bytes = this.#out.length - this.#outFrom;
    if (bytes === 0) return true;
    const taken = this.#inner.write(this.#out, this.#outFrom, this.#out.length);
    if (taken > 0) this.#outFrom += taken;
    if (taken < bytes) return false;
    this.#out = EMPTY;
    this.#outFrom = 0;
    return true;
  }

  #queue(opcode: number, payload: Uint8Array): void {
    const frame = Buffer.allocUnsafe(MAX_OUT_HEADER_BYTES + payload.length);
    frame[0] = FIN | opcode;
    let at = 2;
    if (payload.length <= MAX_CONTROL_BYTES) {
      frame[1] = MASKED | payload.length;
    } else {
      frame[1] = MASKED | 126;
      at = frame.writeUInt16BE(payload.length, 2);
    }
    const maskAt = at;
    randomFillSync(frame, maskAt, 4);
    at += 4;
    for (let i = 0; i < payload.length; i++) frame[at + i] = payload[i]! ^ frame[maskAt + (i & 3)]!;
    const whole = frame.subarray(0, at + payload.length);
    this.#out = this.#out.length === 0 ? whole : Buffer.concat([this.#out.subarray(this.#outFrom), whole]);
    this.#outFrom = 0;
  }

  #end(code: number): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#queue(Opcode.Close, Buffer.of(code >> 8, code & 0xff));
    this.#writable();
  }

  #writable(): void {
    if (!this.#flushed()) return;
    if (!this.#ending) {
      this.handler.writable(this);
    } else if (this.#timer !== undefined) {
      this.#inner.finish(this.#finishMs);
    }
  }

  #closed(reason: CloseReason): void {
    clearTimeout(this.#timer);
    this.#ending = true;
    this.handler.closed(this, this.#sawClose && reason !== 'deadline' ? 'end' : reason);
  }

  #fail(code: number): void {
    this.#end(code);
    this.#inner.abort();
  }

  #isPaused(): boolean {
    return this.#paused;
  }

  #bytes(buffer: Buffer, from: number, to: number): void {
    let at = from;
    while (at < to && !this.#ending) {
      if (this.#paused) {
        this.#held = Buffer.concat([this.#held, buffer.subarray(at, to)]);
        return;
      }
      if (this.#payloadBytes > 0) {
        const end = Math.min(to, at + this.#payloadBytes);
        this.#payloadBytes -= end - at;
        this.handler.bytes(this, buffer, at, end);
        at = end;
      } else {
        at = this.#header(buffer, at, to);
      }
    }
  }

  /** Takes header bytes, and the payload of a control frame with them; returns where to continue. */
  #header(buffer: Buffer, from: number, to: number): number {
    const wanted = this.#wantedHeadBytes();
    const end = Math.min(to, from + wanted - this.#head.length);
    this.#head = Buffer.concat([this.#head, buffer.subarray(from, end)]);
    if (this.#head.length < this.#wantedHeadBytes()) return end;
    const head = this.#head;
    this.#head = EMPTY;
    this.#frame(head);
    return end;
  }

  /** Returns the length of the header, as far as its bytes show it. */
  #wantedHeadBytes(): number {
    const head = this.#head;
    if (head.length < 2) return 2;
    const length = head[1]! & 0x7f;
    if ((head[0]! & 0x0f) >= Opcode.Close) return 2 + Math.min(length, MAX_CONTROL_BYTES);
    if (length === 127) return 10;
    return length === 126 ? 4 : 2;
  }

  #frame(head: Buffer): void {
    const opcode = head[0]! & 0x0f;
    const length = head[1]! & 0x7f;
    if ((head[0]! & RESERVED_BITS) !== 0 || (head[1]! & MASKED) !== 0) {
      this.#fail(CloseCode.Protocol);
    } else if (opcode === Opcode.Binary || opcode === Opcode.Continuation) {
      this.#payloadBytes =
        length < 126 ? length : length === 126 ? head.readUInt16BE(2) : Number(head.readBigUInt64BE(2));
    } else if (opcode === Opcode.Close) {
      this.#sawClose = true;
      this.finish(1000);
    } else if (opcode === Opcode.Ping && length <= MAX_CONTROL_BYTES) {
      this.#queue(Opcode.Pong, head.subarray(2));
      this.#flushed();
    } else if (opcode === Opcode.Text) {
      this.#fail(CloseCode.Unsupported);
    } else if (opcode !== Opcode.Pong) {
      this.#fail(CloseCode.Protocol);
    }
  }
}
