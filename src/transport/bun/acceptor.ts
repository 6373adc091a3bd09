import type { Endpoint, ListenerHandler, ListenOptions, ProxyProtocol } from '../port.ts';
import { AcceptTurn } from './accept-turn.ts';
import type { BunSocket, SocketOwner } from './api.ts';
import { Handshake } from './handshake.ts';
import { ProxyPreface } from './proxy-preface.ts';
import { BunStream, remoteEndpoint } from './stream.ts';
import type { TlsStart } from './tls-start.ts';

/** As derper: notice vanished peers without waking sleeping phones often. */
export const TCP_KEEPALIVE_MS = 600_000;

/**
 * Decides about accepted sockets. It is their `data` before they belong to a preface, a handshake or a stream, and for
 * good when they are refused.
 */
export class Acceptor implements SocketOwner {
  readonly #handler: ListenerHandler;
  readonly #proxy: ProxyProtocol | null;
  /** Null where there is no TLS. */
  readonly #handshakeMs: number | null;
  readonly #start: TlsStart | null;
  readonly #turn = new AcceptTurn();

  /** `start` begins TLS where the listener itself does not; null otherwise. */
  constructor({ tls, proxy }: ListenOptions, handler: ListenerHandler, start: TlsStart | null) {
    this.#handler = handler;
    this.#proxy = proxy ?? null;
    this.#handshakeMs = tls?.handshakeTimeoutMs ?? null;
    this.#start = start;
  }

  connected(socket: BunSocket): void {
    const peer = remoteEndpoint(socket);
    const proxy = this.#proxy;
    if (peer === null) {
      socket.terminate();
    } else if (this.#turn.isTooLong()) {
      socket.terminate();
      this.#handler.refused('handshake_limit', peer, 'connections come faster than they can be accepted');
    } else if (proxy === null) {
      this.#admit(socket, peer, null);
    } else if (proxy.isTrusted(peer.ip)) {
      new ProxyPreface(socket, proxy.timeoutMs, {
        announced: (source, rest) => this.#admit(socket, source ?? peer, rest),
        failed: (detail) => this.#handler.refused('proxy_header', peer, detail),
      });
    } else if (proxy.allowsDirect) {
      this.#admit(socket, peer, null);
    } else {
      socket.terminate();
      this.#handler.refused('untrusted_proxy', peer, 'not in proxy.trusted');
    }
  }

  /** `early` is what was read already, or null. */
  #admit(socket: BunSocket, remote: Endpoint, early: Buffer | null): void {
    const connection = this.#handler.accepted(remote);
    if (connection === null) {
      socket.data = this;
      socket.terminate();
      return;
    }
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
