import { makeMetaCertificate } from '../../certificates/x509/meta-certificate.ts';
import { deadlines } from '../../base/deadlines.ts';
import type { CertificatePair } from '../port.ts';
import { SERVER_ALPN } from '../shared/tls-policy.ts';
import { bun, type BunListener, type BunSocket, type BunTls, type SocketOwner } from './api.ts';
import { SOCKET_HANDLERS } from './handlers.ts';
import { alpnWire, serverTls, TLS_1_1 } from './tls-options.ts';
import {
  isHandshakeDone,
  NOBODY,
  presentedCertificates,
  replaceContext,
  serverContext,
  startServerTls,
} from './undocumented.ts';

/** Time limit of one handshake of a probe. */
const PROBE_MS = 2000;
const KEY_BYTES = 32;

/** The result of the probes. */
export interface TlsFindings {
  /** New connections get another certificate while ALPN goes on working: {@link replaceContext}. */
  readonly replacesContext: boolean;
  /** `ALPNProtocols` in wire format is honoured. */
  readonly agreesOnAlpn: boolean;
  /** `minVersion` as a number is honoured: TLS 1.1 is refused. */
  readonly refusesOldTls: boolean;
  /** TLS can begin on a socket that has already read: {@link startServerTls}. */
  readonly upgrades: boolean;
}

const OFFER: BunTls = { ALPNProtocols: alpnWire('h2', SERVER_ALPN) };
const OLD: BunTls = { minVersion: TLS_1_1, maxVersion: TLS_1_1 };

/**
 * Tests each call with its own listener and client on the loopback interface, because only the client's view counts.
 */
export async function probeTls(pair: CertificatePair): Promise<TlsFindings> {
  const listeners: BunListener[] = [];
  try {
    const where = { hostname: '127.0.0.1', port: 0, socket: SOCKET_HANDLERS };
    const secure = bun.listen({ ...where, tls: serverTls(pair), data: NOBODY });
    listeners.push(secure);
    const plain = bun.listen({ ...where, data: upgrading(pair) });
    listeners.push(plain);
    const ask = ({ port }: BunListener, tls: BunTls): Promise<Seen | null> => new ProbeClient().ask(port, tls);
    const [first, old, upgraded, oldUpgraded] = await Promise.all([
      ask(secure, OFFER),
      ask(secure, OLD),
      ask(plain, OFFER),
      ask(plain, OLD),
    ]);
    const before = pair.certPem.split('-----BEGIN CERTIFICATE-----').length - 1;
    const meta = makeMetaCertificate(Buffer.alloc(KEY_BYTES, 1), Date.now());
    const replaced = tryReplace(secure, { ...pair, certPem: `${pair.certPem}\n${meta}` });
    const second = replaced ? await ask(secure, OFFER) : null;
    return {
      agreesOnAlpn: first?.alpn === SERVER_ALPN,
      refusesOldTls: old === null,
      replacesContext: second?.certificates === before + 1 && second.alpn === first?.alpn,
      upgrades: upgraded?.certificates === before && upgraded.alpn === SERVER_ALPN && oldUpgraded === null,
    };
  } catch {
    // Without a loopback interface nothing can be tested. Then the documented calls are used where there are any.
    return { replacesContext: false, agreesOnAlpn: true, refusesOldTls: true, upgrades: true };
  } finally {
    for (const listener of listeners) listener.stop(true);
  }
}

/** The server side of a probe of {@link startServerTls}. */
function upgrading(pair: CertificatePair): SocketOwner {
  const context = serverContext(pair);
  const alpn = alpnWire(SERVER_ALPN);
  const start = (socket: BunSocket, received: Buffer): void => {
    try {
      startServerTls(socket, received, context, alpn, NOBODY);
    } catch {
      socket.terminate();
    }
  };
  return {
    ...NOBODY,
    connected: (socket) => {
      socket.data = { ...NOBODY, received: (bytes) => start(socket, bytes) };
    },
  };
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

/** Makes one handshake. Returns what the server presented, or null when it refused. */
class ProbeClient implements SocketOwner {
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

  received(): void {
    // Nothing is asked for.
  }

  drained(): void {
    // Nothing was written.
  }

  peerEnded(): void {
    // `close` follows.
  }

  failed(): void {
    // `handshake` or `close` follows.
  }
}
