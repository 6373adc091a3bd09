import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type ListenOptions as NetListenOptions, type Server, type Socket } from 'node:net';
import { canonicalIp } from '../../base/ip-address.ts';
import { isIpv6Off, listenError } from '../shared/listen-errors.ts';
import type {
  CertificatePair,
  ConnectionHandler,
  Endpoint,
  Listener,
  ListenerHandler,
  ListenOptions,
} from '../port.ts';
import { Acceptor, TCP_KEEPALIVE_MS } from '../shared/acceptor.ts';
import type { PrefaceHandler } from '../shared/proxy-preface.ts';
import { bindUnixSocket } from '../shared/unix-socket.ts';
import type { FastRead } from './fast-read.ts';
import { NodeProxyPreface } from './proxy-preface.ts';
import { NodeStream } from './stream.ts';
import { TlsAcceptor } from './tls-acceptor.ts';

/** Opens a listener. Rejects with a TowpathError that says why the address cannot be opened. */
export async function listen(
  options: ListenOptions,
  handler: ListenerHandler,
  fastRead: FastRead | null,
): Promise<Listener> {
  const tls = options.tls === null ? null : new TlsAcceptor(options.tls, fastRead, randomBytes(48));
  const acceptor = new NodeAcceptor(handler, options, tls, fastRead);
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS }, (socket) =>
    acceptor.connected(socket),
  );
  await bind(server, options);
  server.on('error', (error) => handler.error(error));
  return new NodeListener(server, tls, options);
}

class NodeAcceptor extends Acceptor<Socket> {
  readonly #tls: TlsAcceptor | null;
  readonly #fastRead: FastRead | null;
  readonly #isUnix: boolean;

  constructor(
    handler: ListenerHandler,
    { proxy, path }: ListenOptions,
    tls: TlsAcceptor | null,
    fastRead: FastRead | null,
  ) {
    super(handler, proxy);
    this.#tls = tls;
    this.#fastRead = fastRead;
    this.#isUnix = path !== undefined;
  }

  connected(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    socket.on('error', ignore);
    if (this.#isUnix) this.accept(socket, UNIX_PEER);
    else if (remoteAddress === undefined || remotePort === undefined) socket.destroy();
    else this.accept(socket, { ip: canonicalIp(remoteAddress), port: remotePort });
  }

  protected override awaitProxyHeader(socket: Socket, timeoutMs: number, handler: PrefaceHandler): void {
    new NodeProxyPreface(socket, timeoutMs, handler);
  }

  protected override reset(socket: Socket): void {
    socket.resetAndDestroy();
  }

  protected override admitted(
    socket: Socket,
    remote: Endpoint,
    connection: ConnectionHandler,
    early: Buffer | null,
  ): void {
    if (early !== null) socket.unshift(early);
    const local = localEndpoint(socket);
    if (this.#tls === null) {
      const stream = new NodeStream({ socket, raw: socket, remote, local, tls: null, connection });
      stream.start(connection.opened(stream), this.#fastRead);
    } else {
      this.#tls.handshake(socket, remote, local, connection);
    }
  }
}

/** The other end of a Unix socket has no address. */
const UNIX_PEER: Endpoint = { ip: '', port: 0 };

/** Every socket needs an 'error' listener; what matters of it also arrives as 'close'. */
export function ignore(): void {}

/** Our end of a connected socket. */
export function localEndpoint(socket: Socket): Endpoint {
  return { ip: canonicalIp(socket.localAddress ?? ''), port: socket.localPort ?? 0 };
}

async function bind(server: Server, options: ListenOptions): Promise<void> {
  if (options.path !== undefined) {
    await bindUnixSocket(options.path, tryConnect, (path) => startListening(server, { path }));
    return;
  }
  const where: NetListenOptions & { fd?: number } =
    options.fd === undefined
      ? { host: options.ip, port: options.port, reusePort: options.reusePort ?? false }
      : { fd: options.fd };
  if (options.backlog !== undefined) where.backlog = options.backlog;
  try {
    await startListening(server, where);
  } catch (error) {
    if (options.fd !== undefined || !isIpv6Off(options.ip, error)) {
      throw listenError('TCP', options.ip, options.port, error);
    }
    await bind(server, { ...options, ip: '0.0.0.0' });
  }
}

/** Connects to a Unix socket and closes the connection again. Rejects when no process listens there. */
async function tryConnect(path: string): Promise<void> {
  const socket = connect({ path });
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}

async function startListening(server: Server, where: NetListenOptions): Promise<void> {
  const listening = once(server, 'listening');
  server.listen(where);
  await listening;
}

class NodeListener implements Listener {
  readonly address: Endpoint;
  readonly #server: Server;
  readonly #acceptor: TlsAcceptor | null;

  constructor(server: Server, acceptor: TlsAcceptor | null, options: ListenOptions) {
    this.#server = server;
    this.#acceptor = acceptor;
    const bound = server.address();
    this.address =
      bound === null || typeof bound === 'string'
        ? { ip: options.ip, port: options.port }
        : { ip: canonicalIp(bound.address), port: bound.port };
  }

  replaceCertificate(certificate: CertificatePair): void {
    this.#acceptor?.replaceCertificate(certificate);
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    // The callback of close() waits for all connections; the port itself is free as soon as the handle is closed.
    this.#server.close();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
