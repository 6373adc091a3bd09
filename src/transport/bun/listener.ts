import { TowpathError } from '../../errors.ts';
import { canonicalIp } from '../../wire/ip-address.ts';
import { isIpv6Off, listenError } from '../listen-errors.ts';
import type { CertificatePair, Endpoint, Listener, ListenerHandler, ListenOptions } from '../port.ts';
import { bun, type BunListener, type BunListenOptions, type BunSocket, type SocketOwner } from './api.ts';
import { SOCKET_HANDLERS } from './handlers.ts';
import { Handshake } from './handshake.ts';
import { BunStream, remoteEndpoint } from './stream.ts';
import { checkCertificatePair, serverTls } from './tls-options.ts';
import { boundAddress, replaceContext } from './undocumented.ts';

/** As derper: notice vanished peers without waking sleeping phones often. */
export const TCP_KEEPALIVE_MS = 600_000;

/**
 * Opens a listener; throws a TowpathError that says why the address cannot be had. `replacesContext` tells whether its
 * certificate can be replaced; without that, a new listener on the shared port takes over from it.
 */
export function listen(options: ListenOptions, handler: ListenerHandler, replacesContext: boolean): Listener {
  const { tls } = options;
  const acceptor = new Acceptor(handler, tls?.handshakeTimeoutMs ?? null);
  const sharesPort = tls !== null && !replacesContext;
  const reopen = (where: ListenOptions, certificate: CertificatePair | null): BunListener =>
    bind(where, acceptor, certificate, sharesPort || options.reusePort === true);
  const listener = reopen(options, tls?.certificate ?? null);
  return new BunPortListener(options, listener, reopen, replacesContext);
}

function bind(
  where: ListenOptions,
  acceptor: Acceptor,
  certificate: CertificatePair | null,
  reusePort: boolean,
): BunListener {
  const address = where.fd === undefined ? { hostname: where.ip, port: where.port, reusePort } : { fd: where.fd };
  const options: BunListenOptions = { ...address, data: acceptor, socket: SOCKET_HANDLERS };
  try {
    return bun.listen(certificate === null ? options : { ...options, tls: serverTls(certificate) });
  } catch (error) {
    if (where.fd === undefined && isIpv6Off(where.ip, error)) {
      return bind({ ...where, ip: '0.0.0.0' }, acceptor, certificate, reusePort);
    }
    throw listenError('TCP', where.ip, where.port, error);
  }
}

/** The `data` of accepted sockets before they belong to a handshake or a stream, and for good when they are refused. */
class Acceptor implements SocketOwner {
  readonly #handler: ListenerHandler;
  /** Null where there is no TLS. */
  readonly #handshakeMs: number | null;

  constructor(handler: ListenerHandler, handshakeMs: number | null) {
    this.#handler = handler;
    this.#handshakeMs = handshakeMs;
  }

  connected(socket: BunSocket): void {
    const remote = remoteEndpoint(socket);
    if (remote === null || !this.#handler.accepted(remote)) {
      socket.terminate();
      return;
    }
    socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
    if (this.#handshakeMs === null) {
      const stream = new BunStream({ socket, remote, tls: null, listener: this.#handler });
      stream.handler = this.#handler.opened(stream);
    } else {
      new Handshake(socket, remote, this.#handler, this.#handshakeMs);
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

class BunPortListener implements Listener {
  readonly address: Endpoint;
  readonly #options: ListenOptions;
  readonly #reopen: (where: ListenOptions, certificate: CertificatePair) => BunListener;
  readonly #replacesContext: boolean;
  #listener: BunListener | null;

  constructor(
    options: ListenOptions,
    listener: BunListener,
    reopen: (where: ListenOptions, certificate: CertificatePair) => BunListener,
    replacesContext: boolean,
  ) {
    this.#options = options;
    this.#listener = listener;
    this.#reopen = reopen;
    this.#replacesContext = replacesContext;
    const bound = boundAddress(listener) ?? {
      ip: options.ip,
      port: options.fd === undefined ? listener.port : options.port,
    };
    this.address = { ip: canonicalIp(bound.ip), port: bound.port };
  }

  replaceCertificate(certificate: CertificatePair): void {
    if (this.#listener === null || this.#options.tls === null) return;
    checkCertificatePair(certificate);
    if (this.#replacesContext) {
      replaceContext(this.#listener, certificate);
      return;
    }
    if (this.#options.fd !== undefined) {
      throw new TowpathError('TOWPATH_RUNTIME', 'This Bun cannot change the certificate of an inherited socket.', {
        hint: 'Restart the relay to use the new certificate, or run it with Node.',
      });
    }
    // The new one listens before the old one stops; connections that wait in the old one's queue are reset.
    const next = this.#reopen({ ...this.#options, port: this.address.port }, certificate);
    this.#listener.stop(false);
    this.#listener = next;
  }

  async close(): Promise<void> {
    this.#listener?.stop(false);
    this.#listener = null;
    // The port is free when the event loop has closed the handle.
    await new Promise((resolve) => setImmediate(resolve));
  }
}
