import { GatheredBytes } from '../../wire/gathered-bytes.ts';
import { parseProxyHeader } from '../../wire/proxy-header.ts';
import { deadlines } from '../../base/deadlines.ts';
import type { Endpoint } from '../port.ts';
import type { BunSocket, SocketOwner } from './api.ts';

interface PrefaceHandler {
  /** The header is read; `rest` came after it, or null. A null source: the proxy speaks for itself. */
  announced(source: Endpoint | null, rest: Buffer | null): void;
  /** There is no valid header; the socket is gone. Not called for a peer that closes without a word, as probes do. */
  failed(detail: string): void;
}

/** Reads the PROXY header with which a trusted proxy starts each connection; owns the socket until then. */
export class ProxyPreface implements SocketOwner {
  readonly #socket: BunSocket;
  readonly #handler: PrefaceHandler;
  readonly #received = new GatheredBytes();
  #settled = false;

  constructor(socket: BunSocket, timeoutMs: number, handler: PrefaceHandler) {
    this.#socket = socket;
    this.#handler = handler;
    socket.data = this;
    deadlines.add(this, timeoutMs);
  }

  received(chunk: Buffer): void {
    if (this.#settled) return;
    this.#received.addOwned(chunk);
    const received = this.#received.bytes;
    const header = parseProxyHeader(received, 0, received.length);
    if (header.kind === 'more') return;
    if (header.kind === 'invalid') {
      this.#fail(header.detail);
      return;
    }
    this.#settle();
    this.#handler.announced(header.source, header.bytes < received.length ? received.subarray(header.bytes) : null);
  }

  expired(): void {
    this.#fail('no whole PROXY header in time');
  }

  failed(): void {
    this.#socket.terminate();
  }

  socketClosed(): void {
    if (this.#settled) return;
    this.#settle();
    if (this.#received.length > 0) this.#handler.failed('the connection was closed within the PROXY header');
  }

  connected(): void {
    // It was before.
  }

  secured(): void {
    // There is no TLS yet.
  }

  drained(): void {
    // Nothing was written.
  }

  peerEnded(): void {
    // `close` follows.
  }

  #fail(detail: string): void {
    this.#settle();
    this.#socket.terminate();
    this.#handler.failed(detail);
  }

  #settle(): void {
    this.#settled = true;
    deadlines.delete(this);
  }
}
