import { createHash } from 'node:crypto';
import { HEX_DIGITS } from './character-set.ts';

/** The prefix of a `CertName` that is a pin. */
export const PIN_PREFIX = 'sha256-raw:';
const SHA256_DIGITS = 64;

/** The pin of a certificate: lowercase hex SHA-256 of its whole DER (protocol reference §8.3). */
export function pinOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}

/** Returns the pin as `CertName` of a DERP map has it. */
export function formatPin(sha256: string): string {
  return PIN_PREFIX + sha256;
}

/**
 * The lowercase hex of a `CertName` that is a pin. Null for any other name; clients compare plain text, so a pin of
 * the wrong length or in upper case would never match there, but we accept upper case for our own connections.
 */
export function parsePin(certName: string): string | null {
  const hex = certName.startsWith(PIN_PREFIX) ? certName.slice(PIN_PREFIX.length) : '';
  return HEX_DIGITS.holds(hex, SHA256_DIGITS) ? hex.toLowerCase() : null;
}
