import { errorMessage, systemErrorCode } from '../../base/errors.ts';
import { GatheredBytes } from '../../wire/gathered-bytes.ts';
import { deadlines } from '../../base/deadlines.ts';
import type { Abortable, ConnectionHandler, Endpoint, HandshakeFailure, TlsFacts } from '../port.ts';
import type { BunSocket, SocketOwner } from './api.ts';
import { BunStream } from './stream.ts';
import type { TlsStart } from './tls-start.ts';

const NO_CHAIN: readonly Uint8Array[] = [];
/** Most connections agree on the same things: their facts are one object. */
let latest: TlsFacts = { version: '', alpn: '', serverName: '', chain: NO_CHAIN };

/** What TLS agreed on, seen from the server. */
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

/** What a {@link Handshake} is made of. */
export interface HandshakeParts {
  readonly socket: BunSocket;
  readonly remote: Endpoint;
  readonly connection: ConnectionHandler;
  readonly timeoutMs: number;
  /** Begins TLS on a plain socket; null where the listener does TLS. */
  readonly start: TlsStart | null;
}

/** An accepted socket on which TLS is under way: either opened or failed, exactly once. */
export class Handshake implements SocketOwner, Abortable {
  #socket: BunSocket;
  readonly #remote: Endpoint;
  readonly #connection: ConnectionHandler;
  /** Null once TLS has begun. */
  #start: TlsStart | null;
  /** What the client has sent before that. */
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
