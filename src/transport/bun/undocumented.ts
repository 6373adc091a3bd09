/**
 * The calls that Bun does not document. All of them are here; `probe.ts` tries at the start whether they do on this Bun
 * what they do on the pinned one. When one does not, the relay says so among its features and goes another way, or
 * refuses to listen.
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

/** Owns what needs no owner: the plain view of a TLS socket, and the server side of a probe, which the client ends. */
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
    /** What the socket has read already and TLS has to see. */
    readonly initialData?: Buffer;
  }): unknown;
}

/** The context of a certificate, for {@link startServerTls}. Throws when the pair does not fit. */
export function serverContext(certificate: CertificatePair): ServerContext {
  return createSecureContext(serverContextOptions(certificate)).context as ServerContext;
}

/**
 * Begins TLS on an accepted plain socket, from inside its `data` callback: `received` is what the client has sent so
 * far, `alpn` the protocol that may be agreed on. From now on `owner` is told, first by `connected` with the socket to
 * write to. The plain socket lives on as a view of the same connection that reads ciphertext: nobody hears it.
 * That costs 1.6 KiB of RSS per connection and a fifth of a handshake's CPU time more than a listener with TLS (Bun
 * 1.4.5, 3000 connections held: 7.8 instead of 6.2 KiB; 0.35 instead of 0.28 ms); packets cost up to a tenth more.
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
 * A UDP socket. A Bun that does not look at `flags` binds it all the same, and refuses the port to the next that would
 * share it.
 */
export async function openUdp(options: BunUdpOptions, isShared: boolean): Promise<BunUdpSocket> {
  const flagged = { ...options, flags: REUSE_PORT };
  return bun.udpSocket(isShared ? flagged : options);
}

/** More descriptors than any process has. */
const NO_DESCRIPTOR = 2_147_483_647;

/** A UDP socket of an inherited descriptor; null on a Bun that does not look at `fd`. Rejects as `bind` does. */
export async function openInheritedUdp(
  fd: number,
  options: Pick<BunUdpOptions, 'binaryType' | 'socket'>,
): Promise<BunUdpSocket | null> {
  return (await looksAtDescriptor()) ? bun.udpSocket({ ...options, fd }) : null;
}

async function looksAtDescriptor(): Promise<boolean> {
  try {
    // Where `fd` is not known, this binds any free port. The relay does not start then, and it goes with the process.
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
 * Gives a listener another certificate for new connections. `node:tls` of Bun does this for its own listeners; its
 * server takes ours for one. `setKeyCert` on each accepted socket, the other way, costs memory per connection and
 * silences ALPN.
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

/** Where a listener on an inherited descriptor listens: its `port` and `hostname` are not set. */
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
 * Whether the TLS handshake of a client succeeded. Bun also says that it is not `ok` when the certificate is for another name than
 * the one that was asked for, whatever `rejectUnauthorized` is; the error tells the one from the other.
 */
export function isHandshakeDone(ok: boolean, error: Error | null): boolean {
  const code = systemErrorCode(error);
  return ok || code === WRONG_NAME || VERIFY_CODES.test(code);
}

/** DER of all certificates that the server presented, leaf first: Bun gives them as Node's legacy objects only. */
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
