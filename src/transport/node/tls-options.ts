import { createSecureContext, type TlsOptions } from 'node:tls';
import type { CertificatePair } from '../port.ts';
import { certificatePairError, SERVER_ALPN, SERVER_CIPHERS } from '../tls-policy.ts';

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
    ALPNProtocols: [SERVER_ALPN],
    ticketKeys,
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
