import { constants } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { CertificatePair } from '../port.ts';
import { certificatePairError, SERVER_ALPN, SERVER_CIPHERS } from '../shared/tls-policy.ts';
import type { BunTls } from './api.ts';

/** Protocol versions as on the wire. */
export const TLS_1_1 = 0x302;
export const TLS_1_2 = 0x303;
const TLS_1_3 = 0x304;

/** ALPN names in wire format: a length byte before each. */
export function alpnWire(...protocols: readonly string[]): Buffer {
  return Buffer.concat(protocols.map((name) => Buffer.concat([Buffer.of(name.length), Buffer.from(name, 'latin1')])));
}

/** The server side of a listener. Session tickets are Bun's: their keys cannot be set, so they end with a certificate. */
export function serverTls(certificate: CertificatePair): BunTls {
  return {
    key: certificate.keyPem,
    cert: certificate.certPem,
    ciphers: SERVER_CIPHERS,
    secureOptions: constants.SSL_OP_CIPHER_SERVER_PREFERENCE,
    minVersion: TLS_1_2,
    maxVersion: TLS_1_3,
    ALPNProtocols: alpnWire(SERVER_ALPN),
  };
}

/** The same for `setSecureContext`; ALPN stays with the listener. */
export function serverContextOptions(certificate: CertificatePair): SecureContextOptions {
  return {
    key: certificate.keyPem,
    cert: certificate.certPem,
    ciphers: SERVER_CIPHERS,
    honorCipherOrder: true,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
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
