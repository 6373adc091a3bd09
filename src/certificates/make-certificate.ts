import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { parseIp } from '../base/ip-address.ts';
import { bitString, contextPrimitive, objectIdentifier, pem, sequence, utf8String } from './x509/der.ts';
import { commonName, extension, selfSign } from './x509/x509.ts';

/** The longest common name in X.509. */
const MAX_COMMON_NAME_CHARACTERS = 64;
const SERIAL_BYTES = 16;
const ID = {
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const;
const DIGITAL_SIGNATURE = bitString(Uint8Array.of(0x80), 7);
const SAN_DNS = 2;
const SAN_IP = 7;

/** A new ECDSA P-256 key. */
export function generateCertificateKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

/** PEM of the key in the form that derper writes (SEC1). */
export function formatCertificateKey(key: KeyObject): string {
  return key.export({ type: 'sec1', format: 'pem' }).toString();
}

/** The contents of a self-signed server certificate. */
export interface SelfSignedFields {
  /** DNS names and IPs; at least one. */
  readonly names: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** Makes a self-signed server certificate, PEM, with further extensions (DER). `key` is ECDSA P-256. */
export function makeSelfSigned(fields: SelfSignedFields, key: KeyObject, further: readonly Buffer[] = []): string {
  const [first = ''] = fields.names;
  const named = isUsableCommonName(first);
  const der = selfSign(
    {
      serial: randomBytes(SERIAL_BYTES),
      name: commonName(named ? utf8String(first) : null),
      notBefore: fields.notBefore,
      notAfter: fields.notAfter,
      extensions: [
        extension(ID.keyUsage, true, DIGITAL_SIGNATURE),
        extension(ID.extendedKeyUsage, false, sequence(objectIdentifier(ID.serverAuth))),
        extension(ID.basicConstraints, true, sequence()),
        // Without a subject the SAN is the only name and must be critical (RFC 5280 §4.2.1.6).
        extension(ID.subjectAltName, !named, sequence(...fields.names.map(alternativeName))),
        ...further,
      ],
    },
    key,
  );
  return pem('CERTIFICATE', der);
}

/** Clients with a pin would mistake a certificate named `derpkey.example` for a meta-certificate (§8.3). */
function isUsableCommonName(name: string): boolean {
  return name.length <= MAX_COMMON_NAME_CHARACTERS && !name.startsWith('derpkey');
}

function alternativeName(name: string): Buffer {
  const ip = parseIp(name);
  return ip === null ? contextPrimitive(SAN_DNS, Buffer.from(name, 'latin1')) : contextPrimitive(SAN_IP, ip);
}
