import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { HEX_DIGITS } from '../../wire/character-set.ts';
import { pem, printableString, sequence } from './der.ts';
import { PROTOCOL_VERSION } from '../../wire/frames.ts';
import { isZeroKey, parseHexKey } from '../../wire/keys.ts';
import { commonName, extension, selfSign } from './x509.ts';

const NAME_PREFIX = 'derpkey';
const BASIC_CONSTRAINTS = '2.5.29.19';
const DAY_MS = 86_400_000;
/** Half the validity: the certificate is valid this long before and after it was made (protocol reference §1.5). */
const VALID_DAYS = 30;

/**
 * Age at which a meta-certificate is replaced. Upstream never renews it, and clients do not check its dates. Scanners
 * do, so ours is never served expired.
 */
export const META_CERTIFICATE_REFRESH_MS: number = 20 * DAY_MS;

/** The contents of a meta-certificate. */
export interface MetaCertificate {
  readonly serverKey: Buffer;
  readonly version: number;
}

/**
 * Makes the certificate that carries the server's DERP key to clients (§1.5), as PEM. It is built byte by byte because
 * its name is longer than X.509 allows, which every certificate library refuses. The signing key is not kept.
 */
export function makeMetaCertificate(serverPublicKey: Buffer, now: number): string {
  const { privateKey } = generateKeyPairSync('ed25519');
  const der = selfSign(
    {
      serial: Uint8Array.of(PROTOCOL_VERSION),
      name: commonName(printableString(NAME_PREFIX + serverPublicKey.toString('hex'))),
      notBefore: new Date(now - VALID_DAYS * DAY_MS),
      notAfter: new Date(now + VALID_DAYS * DAY_MS),
      extensions: [extension(BASIC_CONSTRAINTS, true, sequence())],
    },
    privateKey,
  );
  return pem('CERTIFICATE', der);
}

/**
 * Finds the server's key in a presented chain of DER certificates (§1.5, client rule, steps 2 and 3), or null when fast
 * start is not possible. Certificates that do not parse are skipped.
 */
export function readMetaCertificate(chain: readonly Uint8Array[]): MetaCertificate | null {
  for (const der of chain) {
    const found = readOne(der);
    if (found !== null) return found.version === 0 || isZeroKey(found.serverKey) ? null : found;
  }
  return null;
}

function readOne(der: Uint8Array): MetaCertificate | null {
  const certificate = parse(der);
  if (certificate === null) return null;
  const serverKey = keyInName(certificate);
  // The serial has at most eight bits. Longer ones belong to certificates that only look like ours.
  if (serverKey === null || !HEX_DIGITS.holds(certificate.serialNumber, 1, 2)) return null;
  return { serverKey, version: Number.parseInt(certificate.serialNumber, 16) };
}

function parse(der: Uint8Array): X509Certificate | null {
  try {
    return new X509Certificate(der);
  } catch {
    return null;
  }
}

/** True for a certificate with the subject prefix of a meta-certificate. Pinning ignores these (§8.3). */
export function isMetaCertificate(certificate: X509Certificate): boolean {
  return certificate.subject.split('\n').some((line) => line.startsWith(`CN=${NAME_PREFIX}`));
}

function keyInName(certificate: X509Certificate): Buffer | null {
  for (const line of certificate.subject.split('\n')) {
    if (line.startsWith(`CN=${NAME_PREFIX}`)) return parseHexKey(line.slice(3 + NAME_PREFIX.length));
  }
  return null;
}
