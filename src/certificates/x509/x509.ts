/**
 * Certificates as bytes. `der.ts` writes ASN.1, this file builds and signs X.509 certificates, and `meta-certificate.ts` is
 * the certificate that carries the key of the relay, which clients look for (protocol reference §1.5).
 */
import { createPublicKey, sign, type KeyObject } from 'node:crypto';
import {
  bitString,
  booleanTrue,
  contextConstructed,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  time,
} from './der.ts';

const COMMON_NAME = '2.5.4.3';
/** Algorithm identifiers of our two kinds of signatures, and their digest for `crypto.sign`. */
const ALGORITHMS = {
  ed25519: { identifier: sequence(objectIdentifier('1.3.101.112')), digest: null },
  ec: { identifier: sequence(objectIdentifier('1.2.840.10045.4.3.2')), digest: 'sha256' },
} as const;

/** The fields of a self-signed certificate. */
export interface CertificateFields {
  /** Big-endian bytes of the serial number. */
  readonly serial: Uint8Array;
  /** DER of the name, used as subject and as issuer. */
  readonly name: Uint8Array;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** DER of each extension. */
  readonly extensions: readonly Uint8Array[];
}

/** Returns a distinguished name with one common name, or an empty one. `encodedName` is the DER of the string. */
export function commonName(encodedName: Uint8Array | null): Buffer {
  return encodedName === null ? sequence() : sequence(setOf(sequence(objectIdentifier(COMMON_NAME), encodedName)));
}

/** One X.509 extension. */
export function extension(id: string, critical: boolean, value: Uint8Array): Buffer {
  const flag = critical ? [booleanTrue()] : [];
  return sequence(objectIdentifier(id), ...flag, octetString(value));
}

/** DER of a version 3 certificate signed with its own key, which is Ed25519 or ECDSA P-256. */
export function selfSign(fields: CertificateFields, privateKey: KeyObject): Buffer {
  const algorithm = privateKey.asymmetricKeyType === 'ed25519' ? ALGORITHMS.ed25519 : ALGORITHMS.ec;
  const body = sequence(
    contextConstructed(0, integer(Uint8Array.of(2))),
    integer(fields.serial),
    algorithm.identifier,
    fields.name,
    sequence(time(fields.notBefore), time(fields.notAfter)),
    fields.name,
    createPublicKey(privateKey).export({ format: 'der', type: 'spki' }),
    contextConstructed(3, sequence(...fields.extensions)),
  );
  return sequence(body, algorithm.identifier, bitString(sign(algorithm.digest, body, privateKey)));
}
