import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ListenOptions as NetListenOptions, type Server, type Socket } from 'node:net';
import { canonicalIp } from '../../base/ip-address.ts';
import { isIpv6Off, listenError } from '../shared/listen-errors.ts';
import type { CertificatePair, Endpoint, Listener, ListenerHandler, ListenOptions, ProxyProtocol } from '../port.ts';
import type { FastRead } from './fast-read.ts';
import { awaitProxyHeader } from './proxy-preface.ts';
import { NodeStream } from './stream.ts';
import { TlsAcceptor } from './tls-acceptor.ts';

/** As derper: notice vanished peers without waking sleeping phones often. */
export const TCP_KEEPALIVE_MS = 600_000;

/** Opens a listener. Rejects with a TowpathError that says why the address cannot be had. */
export async function listen(
  options: ListenOptions,
  handler: ListenerHandler,
  fastRead: FastRead | null,
): Promise<Listener> {
  const acceptor = options.tls === null ? null : new TlsAcceptor(options.tls, fastRead, randomBytes(48));
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS }, (socket) =>
    accept(socket, options.proxy ?? null, (remote) => admit(socket, remote, handler, acceptor, fastRead), handler),
  );
  await bind(server, options);
  server.on('error', (error) => handler.error(error));
  return new NodeListener(server, acceptor, options);
}

function accept(
  socket: Socket,
  proxy: ProxyProtocol | null,
  admit: (remote: Endpoint) => void,
  handler: ListenerHandler,
): void {
  const { remoteAddress, remotePort } = socket;
  socket.on('error', ignore);
  if (remoteAddress === undefined || remotePort === undefined) {
    socket.destroy();
    return;
  }
  const peer = { ip: canonicalIp(remoteAddress), port: remotePort };
  if (proxy === null) {
    admit(peer);
  } else if (proxy.isTrusted(peer.ip)) {
    awaitProxyHeader(socket, proxy.timeoutMs, {
      announced: (source) => admit(source ?? peer),
      failed: (detail) => handler.refused('proxy_header', peer, detail),
    });
  } else if (proxy.allowsDirect) {
    admit(peer);
  } else {
    socket.resetAndDestroy();
    handler.refused('untrusted_proxy', peer, 'not in proxy.trusted');
  }
}

function admit(
  socket: Socket,
  remote: Endpoint,
  handler: ListenerHandler,
  acceptor: TlsAcceptor | null,
  fastRead: FastRead | null,
): void {
  const connection = handler.accepted(remote);
  if (connection === null) {
    socket.resetAndDestroy();
    return;
  }
  if (acceptor === null) {
    const stream = new NodeStream({
      socket,
      raw: socket,
      remote,
      local: localEndpoint(socket),
      tls: null,
      connection,
    });
    stream.start(connection.opened(stream), fastRead);
  } else {
    acceptor.handshake(socket, remote, localEndpoint(socket), connection);
  }
}

/** Every socket needs an 'error' listener; what matters of it also arrives as 'close'. */
export function ignore(): void {}

/** Our end of a connected socket. */
export function localEndpoint(socket: Socket): Endpoint {
  return { ip: canonicalIp(socket.localAddress ?? ''), port: socket.localPort ?? 0 };
}

async function bind(server: Server, options: ListenOptions): Promise<void> {
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
