import { parseClientHello } from '../../wire/client-hello.ts';
import type { CertificatePair, ServerTls } from '../port.ts';
import { CHALLENGE_ALPN, SERVER_ALPN } from '../shared/tls-policy.ts';
import type { BunSocket, SocketOwner } from './api.ts';
import { alpnWire } from './tls-options.ts';
import { serverContext, startServerTls, type ServerContext } from './undocumented.ts';

const ORDINARY = alpnWire(SERVER_ALPN);
const CHALLENGE = alpnWire(CHALLENGE_ALPN);

/**
 * Begins TLS on accepted plain sockets. Listeners need it when they must read before TLS: a PROXY header, or the
 * protocols that the client offers, on which the certificate depends. Other listeners leave TLS to Bun, which is
 * cheaper.
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
   * Begins TLS with the bytes that the client has sent, or waits for more when they do not show which certificate it
   * needs. Bytes that are not a ClientHello go to TLS as well, which refuses them. Throws when Bun cannot begin TLS.
   */
  begin(socket: BunSocket, received: Buffer, owner: SocketOwner): void {
    const hello = this.#challenge === undefined ? null : parseClientHello(received);
    if (hello?.kind === 'more') return;
    const isChallenge = hello?.kind === 'hello' && hello.protocols.includes(CHALLENGE_ALPN);
    const proof = isChallenge ? (this.#challenge?.(hello.serverName) ?? null) : null;
    // Without a challenge certificate, TLS has no protocol in common with the authority, and refuses.
    if (proof === null) startServerTls(socket, received, this.#context, ORDINARY, owner);
    else startServerTls(socket, received, serverContext(proof), CHALLENGE, owner);
  }
}
