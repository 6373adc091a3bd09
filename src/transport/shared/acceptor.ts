import type { ConnectionHandler, Endpoint, ListenerHandler, ProxyProtocol } from '../port.ts';
import type { PrefaceHandler } from './proxy-preface.ts';

/** As derper: notice vanished peers without waking sleeping phones often. */
export const TCP_KEEPALIVE_MS = 600_000;

/** Accepts or refuses new connections, in the same way on each runtime. `Socket` is the socket type of the runtime. */
export abstract class Acceptor<Socket> {
  protected readonly handler: ListenerHandler;
  readonly #proxy: ProxyProtocol | null;

  constructor(handler: ListenerHandler, proxy: ProxyProtocol | undefined) {
    this.handler = handler;
    this.#proxy = proxy ?? null;
  }

  /** Takes a connection before anything was read. `peer` is its other end, which may be a proxy. */
  protected accept(socket: Socket, peer: Endpoint): void {
    const proxy = this.#proxy;
    if (proxy?.isTrusted(peer.ip) === true) {
      this.awaitProxyHeader(socket, proxy.timeoutMs, {
        announced: (source, rest) => this.#admit(socket, source ?? peer, rest),
        failed: (detail) => this.handler.refused('proxy_header', peer, detail),
      });
    } else if (proxy === null || proxy.allowsDirect) {
      this.#admit(socket, peer, null);
    } else {
      this.reset(socket);
      this.handler.refused('untrusted_proxy', peer, 'not in proxy.trusted');
    }
  }

  #admit(socket: Socket, remote: Endpoint, early: Buffer | null): void {
    const connection = this.handler.accepted(remote);
    if (connection === null) this.reset(socket);
    else this.admitted(socket, remote, connection, early);
  }

  protected abstract awaitProxyHeader(socket: Socket, timeoutMs: number, handler: PrefaceHandler): void;

  /**
   * The connection was accepted: a handshake or a stream begins. `early` has the bytes after a PROXY header, or is
   * null.
   */
  protected abstract admitted(
    socket: Socket,
    remote: Endpoint,
    connection: ConnectionHandler,
    early: Buffer | null,
  ): void;

  /** Ends the connection with a reset. */
  protected abstract reset(socket: Socket): void;
}
