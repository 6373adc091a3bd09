/**
 * All calls that Bun does not document. At the start, `probe.ts` tests whether they work as on the pinned version. When
 * one does not, the relay lists that among its features and uses an alternative, or refuses to listen.
 */
import { createSecureContext, createServer } from 'node:tls';
import { systemErrorCode } from '../../base/errors.ts';
import type { CertificatePair, Endpoint } from '../port.ts';
import { MAX_CHAIN } from '../shared/verify.ts';
import {
  bun,
  type BunListener,
  type BunSocket,
  type BunTls,
  type BunUdpOptions,
  type BunUdpSocket,
  type LegacyCertificate,
  type SocketOwner,
} from './api.ts';
import { SOCKET_HANDLERS } from './handlers.ts';
import { WRONG_NAME } from '../shared/verify.ts';
import { serverContextOptions } from './tls-options.ts';

/** OpenSSL's names of what can be wrong with a chain. */
const VERIFY_CODES = /^(UNABLE_TO_|CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_|ERROR_IN_|HOSTNAME_|PATH_LENGTH_)/;

function nothing(): void {
  return undefined;
}

/** The owner of sockets whose events do not matter: the plain view of a TLS socket, and the server side of a probe. */
export const NOBODY: SocketOwner = {
  connected: nothing,
  secured: nothing,
  received: nothing,
  drained: nothing,
  peerEnded: nothing,
  failed: nothing,
  socketClosed: nothing,
};

/** A certificate that many sockets share. */
export type ServerContext = object;

/** `upgradeTLS` is documented for clients only. */
interface UpgradableSocket extends BunSocket {
  upgradeTLS(options: {
    readonly data: SocketOwner;
    readonly socket: typeof SOCKET_HANDLERS;
    readonly tls: BunTls & { readonly secureContext?: ServerContext };
    /** Absent on the client side. */
    readonly isServer?: true;
    /** Bytes that the socket has read already and that TLS needs. */
    readonly initialData?: Buffer;
  }): unknown;
}

/**
 * Returns the TLS context of a certificate, for {@link startServerTls}. Throws when key and certificate do not belong
 * together.
 */
export function serverContext(certificate: CertificatePair): ServerContext {
  return createSecureContext(serverContextOptions(certificate)).context as ServerContext;
}

/**
 * Begins TLS on an accepted plain socket, from inside its `data` callback: `received` is what the client has sent so
 * far, `alpn` the protocol that may be agreed on. From now on `owner` gets the events, first `connected` with the
 * socket to write to. The plain socket stays as a view of the same connection that reads ciphertext. Its events are
 * ignored. That costs 1.6 KiB of RSS per connection and a fifth of a handshake's CPU time more than a listener with TLS
 * (Bun 1.4.5, 3000 connections held: 7.8 instead of 6.2 KiB; 0.35 instead of 0.28 ms); packets cost up to a tenth more.
 */
export function startServerTls(
  socket: BunSocket,
  received: Buffer,
  context: ServerContext,
  alpn: Buffer,
  owner: SocketOwner,
): void {
  socket.data = NOBODY;
  const tls = { secureContext: context, ALPNProtocols: alpn };
  const options = { isServer: true, initialData: received, tls, data: owner, socket: SOCKET_HANDLERS } as const;
  (socket as UpgradableSocket).upgradeTLS(options);
}

/** The client side of {@link startServerTls}, on a socket that has sent something before. */
export function startClientTls(socket: BunSocket, tls: BunTls, owner: SocketOwner): void {
  socket.data = NOBODY;
  (socket as UpgradableSocket).upgradeTLS({ tls, data: owner, socket: SOCKET_HANDLERS });
}

/** LIBUS_LISTEN_REUSE_PORT of Bun's socket layer: SO_REUSEPORT, as its `node:dgram` sets it. */
const REUSE_PORT = 4;

/**
 * Opens a UDP socket. A Bun that ignores `flags` binds it all the same, and refuses the port to the next socket that
 * would share it.
 */
export async function openUdp(options: BunUdpOptions, isShared: boolean): Promise<BunUdpSocket> {
  const flagged = { ...options, flags: REUSE_PORT };
  return bun.udpSocket(isShared ? flagged : options);
}

/** More descriptors than any process has. */
const NO_DESCRIPTOR = 2_147_483_647;

/** Opens a UDP socket of an inherited descriptor; null on a Bun that ignores `fd`. Rejects as `bind` does. */
export async function openInheritedUdp(
  fd: number,
  options: Pick<BunUdpOptions, 'binaryType' | 'socket'>,
): Promise<BunUdpSocket | null> {
  return (await looksAtDescriptor()) ? bun.udpSocket({ ...options, fd }) : null;
}

async function looksAtDescriptor(): Promise<boolean> {
  try {
    // A Bun that does not know `fd` binds any free port here. The relay then does not start, and the port is freed with
    // the process.
    await bun.udpSocket({
      fd: NO_DESCRIPTOR,
      binaryType: 'buffer',
      socket: { data: nothing, drain: nothing, error: nothing },
    });
    return false;
  } catch {
    return true;
  }
}

/**
 * Gives a listener another certificate for new connections. `node:tls` of Bun does this for its own listeners, and its
 * server accepts ours. The alternative, `setKeyCert` on each accepted socket, costs memory per connection and turns
 * ALPN off.
 */
export function replaceContext(listener: BunListener, certificate: CertificatePair): void {
  const server = createServer();
  Reflect.set(server, '_handle', listener);
  try {
    server.setSecureContext(serverContextOptions(certificate));
  } finally {
    Reflect.set(server, '_handle', null);
  }
}

/** Returns the address of a listener on an inherited descriptor: its `port` and `hostname` are not set. */
export function boundAddress(listener: BunListener): Endpoint | null {
  const getsockname: unknown = Reflect.get(listener, 'getsockname');
  if (typeof getsockname !== 'function') return null;
  const name: { address?: unknown; port?: unknown } = {};
  getsockname.call(listener, name);
  return typeof name.address === 'string' && typeof name.port === 'number'
    ? { ip: name.address, port: name.port }
    : null;
}

/**
 * Whether the TLS handshake of a client succeeded. Bun also says that it is not `ok` when the certificate is for
 * another name than the requested one, whatever `rejectUnauthorized` is. The error shows which of the two it is.
 */
export function isHandshakeDone(ok: boolean, error: Error | null): boolean {
  const code = systemErrorCode(error);
  return ok || code === WRONG_NAME || VERIFY_CODES.test(code);
}

/**
 * Returns the DER of all certificates that the server presented, leaf first. Bun gives them only as Node's legacy
 * objects.
 */
export function presentedCertificates(socket: BunSocket): Buffer[] {
  const chain: Buffer[] = [];
  let last: LegacyCertificate | undefined;
  let next = socket.getPeerCertificate(false);
  // The last one may name itself as its issuer.
  while (next?.raw !== undefined && next !== last && chain.length < MAX_CHAIN) {
    chain.push(next.raw);
    last = next;
    next = next.issuerCertificate;
  }
  return chain;
}
