import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { errorMessage, systemErrorCode } from '../../base/errors.ts';
import { deadlines } from '../../base/deadlines.ts';
import type {
  Abortable,
  CertificatePair,
  ConnectionHandler,
  Endpoint,
  HandshakeFailure,
  ServerTls,
  TlsFacts,
} from '../port.ts';
import type { FastRead } from './fast-read.ts';
import { NodeStream } from './stream.ts';
import { challengeOptions, checkCertificatePair, serverTlsOptions } from './tls-options.ts';

/** Node's own handshake timer is only a second limit: it restarts with activity, ours does not. */
const SECOND_LIMIT_FACTOR = 2;

/**
 * Handshakes that begin in one turn of the event loop. Each costs about a millisecond. When thousands of clients
 * connect at once, the other handshakes wait, so that packets of connected clients do not.
 */
const BEGUN_PER_TURN = 8;

const HANDSHAKE = Symbol('handshake');
type PendingSocket = Socket & { [HANDSHAKE]: Handshake | null };

const NO_CHAIN: readonly Uint8Array[] = [];

/** Turns accepted TCP sockets into TLS streams, and reports the ones that fail. */
export class TlsAcceptor {
  readonly #server: Server;
  readonly #fastRead: FastRead | null;
  readonly #timeoutMs: number;
  readonly #ticketKeys: Buffer;
  /** Accepted sockets whose handshake waits for a later turn; those before `#nextWaiting` have begun. */
  #waiting: Handshake[] = [];
  #nextWaiting = 0;
  #begunInTurn = 0;
  #endsTurn = false;
  /** By both ends of the connection: the TLS server does not say which TCP socket a TLS socket belongs to. */
  readonly #pending = new Map<string, Handshake>();

  constructor(tls: ServerTls, fastRead: FastRead | null, ticketKeys: Buffer) {
    checkCertificatePair(tls.certificate);
    this.#fastRead = fastRead;
    this.#timeoutMs = tls.handshakeTimeoutMs;
    this.#ticketKeys = ticketKeys;
    this.#server = createServer({
      ...serverTlsOptions(tls.certificate, ticketKeys),
      ...(tls.challenge === undefined ? {} : challengeOptions(tls.challenge)),
      handshakeTimeout: tls.handshakeTimeoutMs * SECOND_LIMIT_FACTOR,
    });
    this.#server.on('secureConnection', (socket) => this.#secured(socket));
    this.#server.on('tlsClientError', (error, socket) => this.#refused(error, socket));
  }

  /**
   * Uses another certificate for new handshakes. Throws and keeps the old one when key and certificate do not belong
   * together.
   */
  replaceCertificate(certificate: CertificatePair): void {
    checkCertificatePair(certificate);
    this.#server.setSecureContext(serverTlsOptions(certificate, this.#ticketKeys));
  }

  /** Starts TLS on an accepted socket. */
  handshake(raw: Socket, remote: Endpoint, local: Endpoint, connection: ConnectionHandler): void {
    const key = connectionKey(raw);
    const handshake = new Handshake(raw, remote, local, connection);
    this.#pending.set(key, handshake);
    deadlines.add(handshake, this.#timeoutMs);
    Object.assign(raw, { [HANDSHAKE]: handshake }).on('close', onRawClose);
    handshake.forget = () => {
      // A reset peer may have reused the port before Node reported the old socket closed.
      if (this.#pending.get(key) === handshake) this.#pending.delete(key);
      // The socket lives as long as the stream; the handshake need not.
      Object.assign(raw, { [HANDSHAKE]: null }).off('close', onRawClose);
    };
    connection.handshaking(handshake);
    this.#waiting.push(handshake);
    if (this.#begunInTurn < BEGUN_PER_TURN) this.#begin();
    this.#endTurnLater();
  }

  /** Begins TLS on the sockets that wait, as far as this turn allows. */
  #begin(): void {
    while (this.#begunInTurn < BEGUN_PER_TURN && this.#nextWaiting < this.#waiting.length) {
      const handshake = this.#waiting[this.#nextWaiting++]!;
      if (!handshake.isUnderWay) continue;
      this.#begunInTurn++;
      this.#server.emit('connection', handshake.raw);
    }
    if (this.#nextWaiting < this.#waiting.length) return;
    this.#waiting = [];
    this.#nextWaiting = 0;
  }

  #endTurnLater(): void {
    if (this.#endsTurn) return;
    this.#endsTurn = true;
    setImmediate(this.#endTurn);
  }

  readonly #endTurn = (): void => {
    this.#endsTurn = false;
    this.#begunInTurn = 0;
    this.#begin();
    if (this.#waiting.length > 0) this.#endTurnLater();
  };

  #secured(socket: TLSSocket): void {
    const handshake = this.#pending.get(connectionKey(socket));
    if (handshake?.open() !== true) {
      // The peer has just reset the connection, or the deadline came first.
      socket.destroy();
      return;
    }
    const { raw, remote, local, connection } = handshake;
    const stream = new NodeStream({ socket, raw, remote, local, tls: serverFacts(socket), connection });
    stream.start(connection.opened(stream), this.#fastRead);
  }

  #refused(error: Error, socket: TLSSocket): void {
    const code = systemErrorCode(error);
    const failure = code === 'ECONNRESET' || code === 'EPIPE' ? 'tls_closed' : 'tls_error';
    this.#pending.get(connectionKey(socket))?.fail(failure, errorMessage(error));
  }
}

function onRawClose(this: PendingSocket): void {
  this[HANDSHAKE]?.closed();
}

function connectionKey(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0} ${socket.localAddress ?? ''}`;
}

function serverFacts(socket: TLSSocket): TlsFacts {
  // The type definitions have only the client's name for it.
  const serverName: unknown = Reflect.get(socket, 'servername');
  return {
    version: socket.getProtocol() ?? '',
    alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '',
    serverName: typeof serverName === 'string' ? serverName : '',
    chain: NO_CHAIN,
  };
}

/** One TLS handshake. It succeeds or fails, and reports that exactly once. */
class Handshake implements Abortable {
  readonly raw: Socket;
  readonly remote: Endpoint;
  readonly local: Endpoint;
  /** Takes this handshake out of the acceptor's table. */
  forget: () => void = () => undefined;
  readonly connection: ConnectionHandler;
  #settled = false;

  constructor(raw: Socket, remote: Endpoint, local: Endpoint, connection: ConnectionHandler) {
    this.raw = raw;
    this.remote = remote;
    this.local = local;
    this.connection = connection;
  }

  /** True until it has succeeded, failed or been aborted. */
  get isUnderWay(): boolean {
    return !this.#settled;
  }

  /** The handshake succeeded. Returns false when it had been aborted before. */
  open(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    deadlines.delete(this);
    this.forget();
    return true;
  }

  /** Reports the failure; the deadline stays until the descriptor is gone. */
  fail(failure: HandshakeFailure, detail: string): void {
    if (this.#settled) return;
    this.#settled = true;
    this.connection.failed(failure, detail);
  }

  abort(): void {
    this.#settled = true;
    this.raw.resetAndDestroy();
  }

  expired(): void {
    this.fail('tls_timeout', 'The TLS handshake took too long');
    this.raw.resetAndDestroy();
  }

  closed(): void {
    deadlines.delete(this);
    this.forget();
    this.fail('tls_closed', 'The peer closed the connection during the TLS handshake');
    this.connection.released();
  }
}
