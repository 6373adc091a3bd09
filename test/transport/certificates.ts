import { createHash, X509Certificate } from 'node:crypto';
import {
  formatCertificateKey,
  generateCertificateKey,
  makeSelfSigned,
} from '../../src/certificates/make-certificate.ts';
import type { CertificatePair } from '../../src/transport/port.ts';

const DAY_MS = 86_400_000;

/** A self-signed pair with its fingerprint. */
export interface TestCertificate extends CertificatePair {
  /** SHA-256 of the DER, lowercase hex. */
  readonly sha256: string;
}

/** Makes a self-signed P-256 certificate for the names, the first of which is the CN. It expires after `lastsDays` days. */
export function makeCertificate(names: readonly string[], lastsDays = 30): TestCertificate {
  const key = generateCertificateKey();
  const notBefore = new Date(Date.now() - 30 * DAY_MS);
  const notAfter = new Date(Date.now() + lastsDays * DAY_MS);
  return describeCertificate(makeSelfSigned({ names, notBefore, notAfter }, key), formatCertificateKey(key));
}

/** Adds the fingerprint to a pair. */
export function describeCertificate(certPem: string, keyPem: string): TestCertificate {
  const sha256 = createHash('sha256').update(new X509Certificate(certPem).raw).digest('hex');
  return { certPem, keyPem, sha256 };
}
