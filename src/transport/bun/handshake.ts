import { errorMessage, systemErrorCode } from '../../base/errors.ts';
import { GatheredBytes } from '../../wire/gathered-bytes.ts';
import { deadlines } from '../../base/deadlines.ts';
import type { Abortable, ConnectionHandler, Endpoint, HandshakeFailure, TlsFacts } from '../port.ts';
import type { BunSocket, SocketOwner } from './api.ts';
import { BunStream } from './stream.ts';
import type { TlsStart } from './tls-start.ts';

const NO_CHAIN: readonly Uint8Array[] = [];
/** Most connections agree on the same values, so they share one object. */
let latest: TlsFacts = { version: '', alpn: '', serverName: '', chain: NO_CHAIN };

/** Returns the TLS parameters of a connection, as the server sees them. */
function serverFacts(socket: BunSocket): TlsFacts {
  const version = socket.getTLSVersion() ?? '';
  const { alpnProtocol } = socket;
  const alpn = typeof alpnProtocol === 'string' ? alpnProtocol : '';
  const serverName = socket.getServername() ?? '';
  if (latest.version !== version || latest.alpn !== alpn || latest.serverName !== serverName) {
    latest = { version, alpn, serverName, chain: NO_CHAIN };
  }
  return latest;
}

/** Parameters of a {@link Handshake}. */
export interface HandshakeParts {
  readonly socket: BunSocket;
  readonly remote: Endpoint;
  readonly connection: ConnectionHandler;
  readonly timeoutMs: number;
  /** Begins TLS on a plain socket; null when the listener itself does TLS. */
  readonly start: TlsStart | null;
}

/** The TLS handshake of an accepted socket. It succeeds or fails, and reports that exactly once. */
export class Handshake implements SocketOwner, Abortable {
  #socket: BunSocket;
  readonly #remote: Endpoint;
  readonly #connection: ConnectionHandler;
  /** Null once TLS has begun. */
  #start: TlsStart | null;
  /** Bytes that the client sent before TLS began. */
  #received: GatheredBytes | null = null;
  #settled = false;

  constructor({ socket, remote, connection, timeoutMs, start }: HandshakeParts) {
    this.#socket = socket;
    this.#remote = remote;
    this.#connection = connection;
    this.#start = start;
    socket.data = this;
    deadlines.add(this, timeoutMs);
  }

  /** TLS begins on what was a plain socket. */
  connected(socket: BunSocket): void {
    this.#socket = socket;
    this.#start = null;
    this.#received = null;
  }

  /** Only `ok` counts: without a client certificate there is always an error. */
  secured(socket: BunSocket, ok: boolean, error: Error | null): void {
    if (this.#settled) return;
    if (!ok) {
      const closed = systemErrorCode(error) === 'ECONNRESET';
      this.#fail(closed ? 'tls_closed' : 'tls_error', error === null ? 'TLS failed' : errorMessage(error));
      return;
    }
    this.#settled = true;
    deadlines.delete(this);
    const connection = this.#connection;
    const stream = new BunStream({ socket, remote: this.#remote, tls: serverFacts(socket), connection });
    stream.handler = connection.opened(stream);
  }

  /** The start of a ClientHello, on a plain socket. */
  received(chunk: Buffer): void {
    if (this.#start === null || this.#settled) return;
    this.#received ??= new GatheredBytes();
    this.#received.addOwned(chunk);
    try {
      this.#start.begin(this.#socket, this.#received.bytes, this);
    } catch (error) {
      this.#socket.data = this;
      this.failed(error instanceof Error ? error : new Error(String(error)));
    }
  }

  drained(): void {
    // Nothing of ours was written.
  }

  peerEnded(): void {
    // `close` follows.
  }

  failed(error: Error): void {
    this.#fail('tls_error', errorMessage(error));
    this.#socket.terminate();
  }

  abort(): void {
    this.#settled = true;
    this.#socket.terminate();
  }

  /** The deadline, also of a failed handshake whose descriptor is still there. */
  expired(): void {
    this.#fail('tls_timeout', 'The TLS handshake took too long');
    this.#socket.terminate();
  }

  socketClosed(): void {
    deadlines.delete(this);
    this.#fail('tls_closed', 'The peer closed the connection during the TLS handshake');
    this.#connection.released();
  }

  #fail(failure: HandshakeFailure, detail: string): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#connection.failed(failure, detail);
  }
}
