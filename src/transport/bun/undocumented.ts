/**
 * The calls that Bun does not document, and whether they do on this Bun what they do on the pinned one. All of them
 * are here; when one is missing, the relay says so among its features and goes another way, or refuses to listen.
 */
import { createServer } from 'node:tls';
import { systemErrorCode } from '../../errors.ts';
import { makeMetaCertificate } from '../../wire/meta-certificate.ts';
import { deadlines } from '../deadlines.ts';
import type { CertificatePair, Endpoint } from '../port.ts';
import { SERVER_ALPN } from '../tls-policy.ts';
import { MAX_CHAIN } from '../verify.ts';
import { bun, type BunListener, type BunSocket, type BunTls, type LegacyCertificate, type SocketOwner } from './api.ts';
import { SOCKET_HANDLERS } from './handlers.ts';
import { alpnWire, serverContextOptions, serverTls, TLS_1_1 } from './tls-options.ts';

/** How long one handshake of a probe may take. */
const PROBE_MS = 2000;
const KEY_BYTES = 32;

/** The code of a certificate that is for another name. */
export const WRONG_NAME = 'ERR_TLS_CERT_ALTNAME_INVALID';
/** OpenSSL's names of what can be wrong with a chain. */
const VERIFY_CODES = /^(UNABLE_TO_|CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_|ERROR_IN_|HOSTNAME_|PATH_LENGTH_)/;

/** What the probes found. */
export interface TlsFindings {
  /** New connections get another certificate while ALPN goes on working: {@link replaceContext}. */
  readonly replacesContext: boolean;
  /** `ALPNProtocols` in wire format is honoured. */
  readonly agreesOnAlpn: boolean;
  /** `minVersion` as a number is honoured: TLS 1.1 is refused. */
  readonly refusesOldTls: boolean;
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
 * Whether TLS came about for a client. Bun also says that it is not `ok` when the certificate is for another name than
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

/** Tries everything on a listener of its own on the loopback interface: what matters is what a client sees. */
export async function probeTls(pair: CertificatePair): Promise<TlsFindings> {
  const before = pair.certPem.split('-----BEGIN CERTIFICATE-----').length - 1;
  try {
    const listener = bun.listen({
      hostname: '127.0.0.1',
      port: 0,
      tls: serverTls(pair),
      data: PASSIVE,
      socket: SOCKET_HANDLERS,
    });
    try {
      const ask = (tls: BunTls): Promise<Seen | null> => new ProbeClient().ask(listener.port, tls);
      const [first, old] = await Promise.all([
        ask({ ALPNProtocols: alpnWire('h2', SERVER_ALPN) }),
        ask({ minVersion: TLS_1_1, maxVersion: TLS_1_1 }),
      ]);
      const meta = makeMetaCertificate(Buffer.alloc(KEY_BYTES, 1), Date.now());
      const replaced = tryReplace(listener, { ...pair, certPem: `${pair.certPem}\n${meta}` });
      const second = replaced ? await ask({ ALPNProtocols: alpnWire('h2', SERVER_ALPN) }) : null;
      return {
        agreesOnAlpn: first?.alpn === SERVER_ALPN,
        refusesOldTls: old === null,
        replacesContext: second?.certificates === before + 1 && second.alpn === first?.alpn,
      };
    } finally {
      listener.stop(true);
    }
  } catch {
    // Without a loopback interface nothing can be found out, and the documented ways are taken.
    return { replacesContext: false, agreesOnAlpn: true, refusesOldTls: true };
  }
}

function tryReplace(listener: BunListener, pair: CertificatePair): boolean {
  try {
    replaceContext(listener, pair);
    return true;
  } catch {
    return false;
  }
}

interface Seen {
  readonly certificates: number;
  readonly alpn: string;
}

function nothing(): void {
  return undefined;
}

/** The server side of a probe: the probing client ends the connection. */
const PASSIVE: SocketOwner = {
  connected: nothing,
  secured: nothing,
  received: nothing,
  drained: nothing,
  peerEnded: nothing,
  failed: nothing,
  socketClosed: nothing,
};

/** One handshake: what the server presented, or null when it refused. */
class ProbeClient implements SocketOwner {
  readonly received: () => void = nothing;
  readonly drained: () => void = nothing;
  readonly peerEnded: () => void = nothing;
  readonly failed: () => void = nothing;
  #socket: BunSocket | null = null;
  #answer: (seen: Seen | null) => void = () => undefined;

  async ask(port: number, tls: BunTls): Promise<Seen | null> {
    deadlines.add(this, PROBE_MS);
    const answer = new Promise<Seen | null>((resolve) => (this.#answer = resolve));
    const options = { ...tls, rejectUnauthorized: false };
    await bun.connect({ hostname: '127.0.0.1', port, tls: options, data: this, socket: SOCKET_HANDLERS });
    return answer.finally(() => {
      deadlines.delete(this);
      this.#socket?.terminate();
    });
  }

  connected(socket: BunSocket): void {
    this.#socket = socket;
  }

  secured(socket: BunSocket, ok: boolean, error: Error | null): void {
    if (!isHandshakeDone(ok, error)) {
      this.#answer(null);
      return;
    }
    const certificates = presentedCertificates(socket).length;
    this.#answer({ certificates, alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '' });
  }

  socketClosed(): void {
    this.#socket = null;
    this.#answer(null);
  }

  expired(): void {
    this.#answer(null);
  }
}
