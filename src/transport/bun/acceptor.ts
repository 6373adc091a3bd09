import type { ConnectionHandler, Endpoint, ListenerHandler, ListenOptions } from '../port.ts';
import { Acceptor, TCP_KEEPALIVE_MS } from '../shared/acceptor.ts';
import type { PrefaceHandler } from '../shared/proxy-preface.ts';
import { AcceptLimit } from './accept-limit.ts';
import type { BunSocket, SocketOwner } from './api.ts';
import { Handshake } from './handshake.ts';
import { BunProxyPreface } from './proxy-preface.ts';
import { BunStream, remoteEndpoint } from './stream.ts';
import type { TlsStart } from './tls-start.ts';

/**
 * Accepts or refuses new sockets. It is their `data` until they belong to a PROXY preface, a handshake or a stream. A
 * refused socket stays with it.
 */
export class BunAcceptor extends Acceptor<BunSocket> implements SocketOwner {
  /** Null on a listener without TLS. */
  readonly #handshakeMs: number | null;
  readonly #start: TlsStart | null;
  readonly #limit = new AcceptLimit();
  readonly #isUnix: boolean;

  /** `start` begins TLS where the listener itself does not; null otherwise. */
  constructor({ tls, proxy, path }: ListenOptions, handler: ListenerHandler, start: TlsStart | null) {
    super(handler, proxy);
    this.#handshakeMs = tls?.handshakeTimeoutMs ?? null;
    this.#start = start;
    this.#isUnix = path !== undefined;
  }

  connected(socket: BunSocket): void {
    const peer = this.#isUnix ? { ip: '', port: 0 } : remoteEndpoint(socket);
    if (peer === null) {
      socket.terminate();
    } else if (this.#limit.isReached()) {
      socket.terminate();
      this.handler.refused('handshake_limit', peer, 'connections come faster than they can be accepted');
    } else {
      this.accept(socket, peer);
    }
  }

  protected override awaitProxyHeader(socket: BunSocket, timeoutMs: number, handler: PrefaceHandler): void {
    new BunProxyPreface(socket, timeoutMs, handler);
  }

  protected override reset(socket: BunSocket): void {
    socket.data = this;
    socket.terminate();
  }

  protected override admitted(
    socket: BunSocket,
    remote: Endpoint,
    connection: ConnectionHandler,
    early: Buffer | null,
  ): void {
    socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
    if (this.#handshakeMs === null) {
      const stream = new BunStream({ socket, remote, tls: null, connection });
      stream.handler = connection.opened(stream);
      if (early !== null) stream.hold(early);
    } else {
      const handshake = new Handshake({ socket, remote, connection, timeoutMs: this.#handshakeMs, start: this.#start });
      connection.handshaking(handshake);
      if (early !== null) handshake.received(early);
    }
  }

  secured(): void {
    // Of a refused connection.
  }

  received(): void {
    // Of a refused connection.
  }

  drained(): void {
    // Nothing was written.
  }

  peerEnded(): void {
    // Of a refused connection.
  }

  failed(): void {
    // Of a refused connection.
  }

  socketClosed(): void {
    // It was not even counted.
  }
}
