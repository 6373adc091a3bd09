import { errorMessage, TowpathError } from '../../base/errors.ts';

/**
 * The cipher suites of a server: TLS 1.3 first, AES-128 before AES-256 because it is faster and enough; then the
 * TLS 1.2 ECDHE AEAD suites.
 */
export const SERVER_CIPHERS: string = [
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

/** The only protocol that a server offers by ALPN. */
export const SERVER_ALPN = 'http/1.1';

/** The protocol by which a certificate authority checks a challenge (RFC 8737). */
export const CHALLENGE_ALPN = 'acme-tls/1';

/** Says that key and certificate are unreadable or do not belong together. */
export function certificatePairError(cause: unknown): TowpathError {
  return new TowpathError(
    'TOWPATH_CERTIFICATE_PAIR',
    `The certificate and its key cannot be used: ${errorMessage(cause)}.`,
    {
      hint: 'Both must be PEM, the certificate file with the leaf first, and the key must be the one of the leaf.',
      cause,
    },
  );
}
