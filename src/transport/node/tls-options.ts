import { createSecureContext, type TlsOptions } from 'node:tls';
import { errorMessage, TowpathError } from '../../errors.ts';
import type { CertificatePair } from '../port.ts';

/** TLS 1.3 suites first, AES-128 before AES-256 because it is faster and enough; then the TLS 1.2 ECDHE AEAD suites. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

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
    ciphers: CIPHERS,
    honorCipherOrder: true,
    ALPNProtocols: ['http/1.1'],
    ticketKeys,
  };
}

/** Throws a TowpathError when key and certificate are unreadable or do not belong together. */
export function checkCertificatePair(certificate: CertificatePair): void {
  try {
    createSecureContext({ key: certificate.keyPem, cert: certificate.certPem });
  } catch (error) {
    throw new TowpathError(
      'TOWPATH_CERTIFICATE_PAIR',
      `The certificate and its key cannot be used: ${errorMessage(error)}.`,
      {
        hint: 'Both must be PEM, the certificate file with the leaf first, and the key must be the one of the leaf.',
        cause: error,
      },
    );
  }
}
