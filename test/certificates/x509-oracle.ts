import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

/** Reads and issues certificates with a library that shares no code with ours. */

/** A certificate as that library reads it. */
export interface SeenCertificate {
  readonly signatureAlgorithm: string;
  readonly subject: string;
  readonly serial: string;
  readonly extensions: readonly { readonly oid: string; readonly critical: boolean }[];
  readonly keyUsages: x509.KeyUsageFlags | null;
  readonly extendedKeyUsages: readonly string[];
  readonly isAuthority: boolean | null;
  readonly names: readonly { readonly type: string; readonly value: string }[];
}

/** Parses a certificate in PEM. */
export function see(pem: string): SeenCertificate {
  const certificate = new x509.X509Certificate(pem);
  return {
    signatureAlgorithm: 'name' in certificate.signatureAlgorithm ? String(certificate.signatureAlgorithm.name) : '',
    subject: certificate.subject,
    serial: certificate.serialNumber,
    extensions: Array.from(certificate.extensions, ({ type, critical }) => ({ oid: type, critical })),
    keyUsages: certificate.getExtension(x509.KeyUsagesExtension)?.usages ?? null,
    extendedKeyUsages: Array.from(certificate.getExtension(x509.ExtendedKeyUsageExtension)?.usages ?? [], String),
    isAuthority: certificate.getExtension(x509.BasicConstraintsExtension)?.ca ?? null,
    names: (certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? []).map(
      ({ type, value }) => ({ type, value }),
    ),
  };
}

/** The only key usage of a TLS server certificate with an elliptic key. */
export const DIGITAL_SIGNATURE: x509.KeyUsageFlags = x509.KeyUsageFlags.digitalSignature;
/** Object identifier of "TLS Web Server Authentication". */
export const SERVER_AUTH: string = x509.ExtendedKeyUsage.serverAuth;

/** A leaf certificate for `name` that a throw-away authority issued, with its key; both PEM. */
export async function issueByAuthority(name: string): Promise<{ certPem: string; keyPem: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const authority = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const leaf = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: 'CN=ca',
    signingKey: authority.privateKey,
    publicKey: leaf.publicKey,
    signingAlgorithm: algorithm,
  });
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', leaf.privateKey);
  return { certPem: certificate.toString('pem'), keyPem: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') };
}
