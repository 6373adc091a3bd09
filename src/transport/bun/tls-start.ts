import { parseClientHello } from '../../wire/client-hello.ts';
import type { CertificatePair, ServerTls } from '../port.ts';
import { CHALLENGE_ALPN, SERVER_ALPN } from '../shared/tls-policy.ts';
import type { BunSocket, SocketOwner } from './api.ts';
import { alpnWire } from './tls-options.ts';
import { serverContext, startServerTls, type ServerContext } from './undocumented.ts';

const ORDINARY = alpnWire(SERVER_ALPN);
const CHALLENGE = alpnWire(CHALLENGE_ALPN);

/**
 * Begins TLS on accepted plain sockets, for listeners where something has to be read before: a PROXY header, or which
 * protocol the client offers, on which the certificate depends. Other listeners leave all of it to Bun, which is cheaper.
 */
export class TlsStart {
  readonly #challenge: ServerTls['challenge'];
  #context: ServerContext;

  constructor({ certificate, challenge }: ServerTls) {
    this.#context = serverContext(certificate);
    this.#challenge = challenge;
  }

  /** Uses another certificate from now on. */
  replaceCertificate(certificate: CertificatePair): void {
    this.#context = serverContext(certificate);
  }

  /**
   * Begins TLS with what the client has sent so far, or waits for more when that does not show which certificate it
   * needs. What is no ClientHello goes to TLS as well, which knows best how to refuse it. Throws when Bun cannot.
   */
  begin(socket: BunSocket, received: Buffer, owner: SocketOwner): void {
    const hello = this.#challenge === undefined ? null : parseClientHello(received);
    if (hello?.kind === 'more') return;
    const isChallenge = hello?.kind === 'hello' && hello.protocols.includes(CHALLENGE_ALPN);
    const proof = isChallenge ? (this.#challenge?.(hello.serverName) ?? null) : null;
    // Without a proof, TLS finds no protocol in common with who looks for one, and refuses.
    if (proof === null) startServerTls(socket, received, this.#context, ORDINARY, owner);
    else startServerTls(socket, received, serverContext(proof), CHALLENGE, owner);
  }
}
