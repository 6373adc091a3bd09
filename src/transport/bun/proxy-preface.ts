import { ProxyPreface, type PrefaceHandler } from '../shared/proxy-preface.ts';
import type { BunSocket, SocketOwner } from './api.ts';

/** Reads the PROXY header of a Bun socket, and owns the socket until the header is read. */
export class BunProxyPreface extends ProxyPreface implements SocketOwner {
  readonly #socket: BunSocket;

  constructor(socket: BunSocket, timeoutMs: number, handler: PrefaceHandler) {
    super(timeoutMs, handler);
    this.#socket = socket;
    socket.data = this;
  }

  protected override reset(): void {
    this.#socket.terminate();
  }

  protected override leave(): void {
    // The next handler becomes the owner of the socket.
  }

  failed(): void {
    this.#socket.terminate();
  }

  socketClosed(): void {
    this.closed();
  }

  connected(): void {
    // It is connected already.
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
}
