import { X509Certificate } from 'node:crypto';
import { getCACertificates } from 'node:tls';
import { systemErrorCode } from '../../base/errors.ts';
import { ipFamily } from '../../base/ip-address.ts';
import { isMetaCertificate } from '../../certificates/x509/meta-certificate.ts';
import { connectError } from '../shared/connect-errors.ts';
import { deadlines } from '../../base/deadlines.ts';
import type { Connected, ConnectOptions, ServerVerification, StreamHandler, TlsFacts } from '../port.ts';
import { checkName, checkPin, WRONG_NAME } from '../shared/verify.ts';
import { TCP_KEEPALIVE_MS } from '../shared/acceptor.ts';
import { bun, type BunSocket, type BunTls, type SocketOwner } from './api.ts';
import { SOCKET_HANDLERS } from './handlers.ts';
import { BunStream, remoteEndpoint } from './stream.ts';
import { TLS_1_2 } from './tls-options.ts';
import { isHandshakeDone, presentedCertificates, startClientTls } from './undocumented.ts';

const SELF_SIGNED = 'DEPTH_ZERO_SELF_SIGNED_CERT';

/** Opens a connection, with TLS where asked. Rejects with a `TOWPATH_CONNECT_…` error. */
export function connect(options: ConnectOptions, handler: StreamHandler): Promise<Connected> {
  return new Dial(options, handler).start();
}

/** One connect under way: the `data` of its socket until there is a stream. */
class Dial implements SocketOwner {
  readonly #options: ConnectOptions;
  readonly #handler: StreamHandler;
  readonly #startedAt = performance.now();
  #socket: BunSocket | null = null;
  #phase: 'DNS and TCP' | 'TLS' = 'DNS and TCP';
  #tcpMs = 0;
  #settled = false;
  #resolve: (connected: Connected) => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;

  constructor(options: ConnectOptions, handler: StreamHandler) {
    this.#options = options;
    this.#handler = handler;
  }

  start(): Promise<Connected> {
    const { host, port, tls, timeoutMs, preamble } = this.#options;
    deadlines.add(this, timeoutMs);
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      const where = { hostname: host, port, data: this, socket: SOCKET_HANDLERS };
      bun
        .connect(tls === null || preamble !== undefined ? where : { ...where, tls: clientTls(tls) })
        .catch((error: unknown) => {
          this.#fail(error, false);
        });
    });
  }

  connected(socket: BunSocket): void {
    this.#socket = socket;
    if (this.#settled) {
      socket.terminate();
      return;
    }
    // TLS behind a preamble is a socket of its own, which comes here too.
    if (this.#phase === 'TLS') return;
    socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
    this.#tcpMs = performance.now() - this.#startedAt;
    const { tls, preamble } = this.#options;
    if (preamble !== undefined && socket.write(preamble, 0, preamble.length) < preamble.length) {
      this.#fail(new Error('the preamble cannot be written'), false);
      return;
    }
    if (tls === null) {
      this.#succeed(socket, null, this.#tcpMs);
      return;
    }
    this.#phase = 'TLS';
    if (preamble === undefined) return;
    try {
      startClientTls(socket, clientTls(tls), this);
    } catch (error) {
      this.#fail(error, false);
    }
  }

  secured(socket: BunSocket, ok: boolean, error: Error | null): void {
    const { tls } = this.#options;
    if (this.#settled || tls === null) return;
    const chain = presentedCertificates(socket).map((der) => new X509Certificate(der));
    if (!isHandshakeDone(ok, error)) {
      this.#fail(error ?? new Error('the handshake failed'), false);
      return;
    }
    const problem = judge(chain, tls.verify, serverNameOf(tls), error);
    if (problem !== null) {
      this.#fail(problem, false);
      return;
    }
    const facts: TlsFacts = {
      version: socket.getTLSVersion() ?? '',
      alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '',
      serverName: '',
      chain: chain.map((certificate) => certificate.raw),
    };
    this.#succeed(socket, facts, performance.now() - this.#startedAt);
  }

  received(): void {
    // Not before there is a stream.
  }

  drained(): void {
    // Nothing was written.
  }

  peerEnded(): void {
    // `close` follows.
  }

  failed(error: Error): void {
    this.#fail(error, false);
  }

  socketClosed(error: Error | null): void {
    this.#socket = null;
    this.#fail(error ?? new Error('the connection was closed'), false);
  }

  expired(): void {
    this.#fail(new Error('timeout'), true);
  }

  #succeed(socket: BunSocket, tls: TlsFacts | null, tlsMs: number): void {
    this.#settled = true;
    deadlines.delete(this);
    const { host, port } = this.#options;
    const remote = remoteEndpoint(socket) ?? { ip: host, port };
    const stream = new BunStream({ socket, remote, tls, connection: null });
    stream.handler = this.#handler;
    stream.hold();
    this.#resolve({ stream, times: { tcpMs: this.#tcpMs, tlsMs } });
  }

  #fail(cause: unknown, timedOut: boolean): void {
    if (this.#settled) return;
    this.#settled = true;
    deadlines.delete(this);
    this.#socket?.terminate();
    this.#reject(connectError(this.#options, { phase: this.#phase, timedOut }, cause));
  }
}

type TlsPart = NonNullable<ConnectOptions['tls']>;

function serverNameOf(tls: TlsPart): string {
  return ipFamily(tls.serverName) === 0 ? tls.serverName : '';
}

function clientTls(tls: TlsPart): BunTls {
  const { verify } = tls;
  const serverName = serverNameOf(tls);
  return {
    // Bun only reports what it found. `judge` decides after the handshake.
    rejectUnauthorized: false,
    minVersion: TLS_1_2,
    ...(serverName === '' ? {} : { serverName }),
    ...(verify.kind === 'ca' ? { ca: verify.caPem ?? systemAuthorities() } : {}),
  };
}

let authorities: string[] | null = null;

/** Returns Bun's own list and the one of the machine, which may have the authority of a company. */
function systemAuthorities(): string[] {
  authorities ??= [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
  return authorities;
}

/** Returns what is wrong with the server's certificate, or null. `error` is what Bun found. */
function judge(
  chain: readonly X509Certificate[],
  verify: ServerVerification,
  serverName: string,
  error: Error | null,
): Error | null {
  switch (verify.kind) {
    case 'none':
      return null;
    case 'pin':
      return checkPin(chain, verify.sha256, serverName);
    case 'ca': {
      const leaf = chain[0];
      // Bun compares the requested name, and only after the chain is valid.
      if (error !== null && systemErrorCode(error) !== WRONG_NAME) {
        const own = chain.filter((certificate) => !isMetaCertificate(certificate));
        const selfSigned = own.length === 1 && leaf?.issuer === leaf?.subject;
        return selfSigned ? verdict(SELF_SIGNED, 'self-signed certificate', error) : error;
      }
      return leaf === undefined ? new Error('the server presented no certificate') : checkName(leaf, verify.name);
    }
  }
}

/** Returns an error with the code that Node uses for the same problem. */
function verdict(code: string, message: string, cause: Error | null): Error {
  return Object.assign(new Error(message, { cause }), { code });
}
