import { constants } from 'node:crypto';
import { createSecureContext, type TlsOptions, type TLSSocket } from 'node:tls';
import type { CertificatePair, ServerTls } from '../port.ts';
import { certificatePairError, CHALLENGE_ALPN, SERVER_ALPN, SERVER_CIPHERS } from '../shared/tls-policy.ts';

/**
 * The whole option set of a server; `setSecureContext` needs all of it each time, and `ticketKeys` must stay the same
 * for session tickets to survive a new certificate.
 */
export function serverTlsOptions(certificate: CertificatePair, ticketKeys: Buffer): TlsOptions {
  return {
    key: certificate.keyPem,
    cert: certificate.certPem,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: SERVER_CIPHERS,
    honorCipherOrder: true,
    // Clients do not need a second handshake on a TLS 1.2 connection, and each costs as much as the first. Bun has
    // none.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ALPNProtocols: [SERVER_ALPN],
    ticketKeys,
  };
}

/** Replaces the fixed ALPN list of {@link serverTlsOptions}: the certificate depends on what the client offers. */
export function challengeOptions(
  challenge: NonNullable<ServerTls['challenge']>,
): Pick<TlsOptions, 'ALPNProtocols' | 'ALPNCallback'> {
  return {
    ALPNProtocols: undefined,
    ALPNCallback(this: TLSSocket, { servername, protocols }) {
      if (!protocols.includes(CHALLENGE_ALPN)) return protocols.includes(SERVER_ALPN) ? SERVER_ALPN : undefined;
      const pair = challenge(servername);
      if (pair === null) return undefined;
      this.setKeyCert({ key: pair.keyPem, cert: pair.certPem });
      return CHALLENGE_ALPN;
    },
  };
}

/** Throws a TowpathError when key and certificate are unreadable or do not belong together. */
export function checkCertificatePair(certificate: CertificatePair): void {
  try {
    createSecureContext({ key: certificate.keyPem, cert: certificate.certPem });
  } catch (error) {
    throw certificatePairError(error);
  }
}
