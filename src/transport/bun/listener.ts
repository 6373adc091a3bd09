import { rmSync } from 'node:fs';
import { errorMessage, systemErrorCode, TowpathError } from '../../base/errors.ts';
import { canonicalIp } from '../../base/ip-address.ts';
import { isIpv6Off, listenError } from '../shared/listen-errors.ts';
import { bindUnixSocket } from '../shared/unix-socket.ts';
import type { CertificatePair, Endpoint, Listener, ListenerHandler, ListenOptions } from '../port.ts';
import { BunAcceptor } from './acceptor.ts';
import { bun, type BunListener, type BunListenOptions, type SocketHandlers } from './api.ts';
import { SOCKET_HANDLERS } from './handlers.ts';
import { checkCertificatePair, serverTls } from './tls-options.ts';
import { TlsStart } from './tls-start.ts';
import { boundAddress, replaceContext } from './undocumented.ts';

/** Returns whether a connection must be read before TLS can begin on it. */
export function readsBeforeTls({ tls, proxy }: ListenOptions): boolean {
  return tls !== null && (proxy !== undefined || tls.challenge !== undefined);
}

/**
 * Opens a listener; throws a TowpathError that says why the address cannot be opened. `replacesContext` tells whether its
 * certificate can be replaced; without that, a new listener on the shared port takes over from it.
 */
export function listen(options: ListenOptions, handler: ListenerHandler, replacesContext: boolean): Listener {
  const { tls } = options;
  const start = tls !== null && readsBeforeTls(options) ? new TlsStart(tls) : null;
  const acceptor = new BunAcceptor(options, handler, start);
  const own = start === null ? tls : null;
  const sharesPort = own !== null && !replacesContext;
  const reopen = (where: ListenOptions, certificate: CertificatePair | null): BunListener =>
    bind(where, acceptor, certificate, sharesPort || options.reusePort === true);
  const listener = reopen(options, own?.certificate ?? null);
  const replace: Replace =
    start !== null
      ? (_listener, certificate) => start.replaceCertificate(certificate)
      : replacesContext
        ? replaceContext
        : null;
  return new BunPortListener(options, listener, reopen, replace);
}

/** For a connection that is closed at once. */
const NO_HANDLERS: SocketHandlers = {
  binaryType: 'buffer',
  open: ignore,
  handshake: ignore,
  data: ignore,
  drain: ignore,
  end: ignore,
  close: ignore,
  error: ignore,
};

function ignore(): void {}

/** Listens without TLS on a Unix socket. Rejects with a TowpathError that says why the path cannot be used. */
export async function listenUnix(options: ListenOptions, path: string, handler: ListenerHandler): Promise<Listener> {
  const acceptor = new BunAcceptor(options, handler, null);
  const tryConnect = async (unix: string): Promise<void> => {
    (await bun.connect({ unix, data: acceptor, socket: NO_HANDLERS })).terminate();
  };
  const listener = await bindUnixSocket(path, tryConnect, (unix) =>
    bun.listen({ unix, data: acceptor, socket: SOCKET_HANDLERS }),
  );
  return {
    address: { ip: '', port: 0 },
    replaceCertificate: () => undefined,
    close: () => {
      listener.stop(false);
      // Bun leaves the file.
      rmSync(path, { force: true });
      return Promise.resolve();
    },
  };
}

/** Changes the certificate of a listener in place; null where only a new listener can have another one. */
type Replace = ((listener: BunListener, certificate: CertificatePair) => void) | null;

function bind(
  where: ListenOptions,
  acceptor: BunAcceptor,
  certificate: CertificatePair | null,
  reusePort: boolean,
): BunListener {
  const address = where.fd === undefined ? { hostname: where.ip, port: where.port, reusePort } : { fd: where.fd };
  const options: BunListenOptions = { ...address, data: acceptor, socket: SOCKET_HANDLERS };
  try {
    return bun.listen(certificate === null ? options : { ...options, tls: serverTls(certificate) });
  } catch (thrown) {
    const error = withCode(where.ip, thrown);
    if (where.fd === undefined && isIpv6Off(where.ip, error)) {
      return bind({ ...where, ip: '0.0.0.0' }, acceptor, certificate, reusePort);
    }
    throw listenError('TCP', where.ip, where.port, error);
  }
}

/** Bun gives no code when the kernel refuses a socket of the family, which it does on one without IPv6. */
function withCode(ip: string, error: unknown): unknown {
  if (!ip.includes(':') || systemErrorCode(error) !== '') return error;
  return Object.assign(new Error(errorMessage(error), { cause: error }), { code: 'EAFNOSUPPORT' });
}

class BunPortListener implements Listener {
  readonly address: Endpoint;
  readonly #options: ListenOptions;
  readonly #reopen: (where: ListenOptions, certificate: CertificatePair) => BunListener;
  readonly #replace: Replace;
  #listener: BunListener | null;

  constructor(
    options: ListenOptions,
    listener: BunListener,
    reopen: (where: ListenOptions, certificate: CertificatePair) => BunListener,
    replace: Replace,
  ) {
    this.#options = options;
    this.#listener = listener;
    this.#reopen = reopen;
    this.#replace = replace;
    const bound = boundAddress(listener) ?? {
      ip: options.ip,
      port: options.fd === undefined ? listener.port : options.port,
    };
    this.address = { ip: canonicalIp(bound.ip), port: bound.port };
  }

  replaceCertificate(certificate: CertificatePair): void {
    if (this.#listener === null || this.#options.tls === null) return;
    checkCertificatePair(certificate);
    if (this.#replace !== null) {
      this.#replace(this.#listener, certificate);
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
