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

/** Node's own handshake timer is only a second fence: it starts anew with activity, ours does not. */
const SECOND_FENCE_FACTOR = 2;

/**
 * Handshakes that begin in one turn of the event loop; each costs a millisecond or so. When thousands connect at once
 * the others wait, so that packets of those who are connected do not.
 */
const BEGUN_PER_TURN = 8;

const HANDSHAKE = Symbol('handshake');
type PendingSocket = Socket & { [HANDSHAKE]: Handshake | null };

const NO_CHAIN: readonly Uint8Array[] = [];

/** Turns accepted TCP sockets into TLS streams and accounts for those that do not get there. */
export class TlsAcceptor {
  readonly #server: Server;
  readonly #fastRead: FastRead | null;
  readonly #timeoutMs: number;
  readonly #ticketKeys: Buffer;
  /** Accepted in a turn in which enough handshakes had begun; those before `#nextWaiting` have begun since. */
  #waiting: Handshake[] = [];
  #nextWaiting = 0;
  #begunInTurn = 0;
  #endsTurn = false;
  /** By both ends: the TLS server does not say which TCP socket a TLS socket was made of. */
  readonly #pending = new Map<string, Handshake>();

  constructor(tls: ServerTls, fastRead: FastRead | null, ticketKeys: Buffer) {
    checkCertificatePair(tls.certificate);
    this.#fastRead = fastRead;
    this.#timeoutMs = tls.handshakeTimeoutMs;
    this.#ticketKeys = ticketKeys;
    this.#server = createServer({
      ...serverTlsOptions(tls.certificate, ticketKeys),
      ...(tls.challenge === undefined ? {} : challengeOptions(tls.challenge)),
      handshakeTimeout: tls.handshakeTimeoutMs * SECOND_FENCE_FACTOR,
    });
    this.#server.on('secureConnection', (socket) => this.#secured(socket));
    this.#server.on('tlsClientError', (error, socket) => this.#refused(error, socket));
  }

  /** Uses another certificate for handshakes from now on; throws and keeps the old one when the pair does not fit. */
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
      // The peer reset the connection just now, or the deadline was faster.
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
  // The type definitions know the name of the client side only.
  const serverName: unknown = Reflect.get(socket, 'servername');
  return {
    version: socket.getProtocol() ?? '',
    alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '',
    serverName: typeof serverName === 'string' ? serverName : '',
    chain: NO_CHAIN,
  };
}

/** One TLS handshake under way: either opened or failed, exactly once. */
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

  /** Neither opened nor failed nor given up. */
  get isUnderWay(): boolean {
    return !this.#settled;
  }

  /** TLS is agreed. False when the handshake had been given up. */
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
