import { randomBytes, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { TowpathError } from '../base/errors.ts';
import { HEX_DIGITS } from './character-set.ts';
import { KEY_BYTES } from './frames.ts';

const KEY_DIGITS = 2 * KEY_BYTES;
const NODE_PREFIX = 'nodekey:';
const PRIVATE_PREFIX = 'privkey:';
/** DER of a PKCS#8 X25519 private key up to the 32 key bytes (RFC 8410). */
const PKCS8_X25519_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** Text forms of a node's public key (protocol reference §3.5). The bytes are raw Curve25519, 32 of them. */
export function formatNodeKey(key: Buffer): string {
  return NODE_PREFIX + key.toString('hex');
}

/** The short form for logs: `[` + five characters of base64 + `]`; the zero key is empty. */
export function shortKey(key: Buffer): string {
  return isZeroKey(key) ? '' : `[${key.toString('base64').slice(0, 5)}]`;
}

/** Parses `nodekey:` + 64 hex digits, or returns null. */
export function parseNodeKey(text: string): Buffer | null {
  if (!text.startsWith(NODE_PREFIX)) return null;
  const hex = text.slice(NODE_PREFIX.length);
  return HEX_DIGITS.holds(hex, KEY_DIGITS) ? Buffer.from(hex, 'hex') : null;
}

/** Parses 64 hex digits without a prefix, as in a mesh key or a `derpkey` certificate name; null when it is not that. */
export function parseHexKey(text: string): Buffer | null {
  return HEX_DIGITS.holds(text, KEY_DIGITS) ? Buffer.from(text, 'hex') : null;
}

/** True for 32 zero bytes, which no client may use (§3.2). */
export function isZeroKey(key: Buffer): boolean {
  for (let i = 0; i < KEY_BYTES; i++) if (key[i] !== 0) return false;
  return true;
}

/** A node's key pair, ready for X25519. The private key is not readable as bytes. */
export interface NodeKeyPair {
  /** Raw public key, 32 bytes. */
  readonly publicKey: Buffer;
  /** For `crypto.diffieHellman`. */
  readonly privateKey: KeyObject;
}

/** Clamps 32 random bytes as Curve25519 requires (§3.2), in place. */
function clamp(key: Buffer): Buffer {
  key[0] = key[0]! & 248;
  key[31] = (key[31]! & 127) | 64;
  return key;
}

/** Builds the pair from 32 raw private bytes. */
export function nodeKeyPair(rawPrivate: Buffer): NodeKeyPair {
  const privateKey = createPrivateKey({
    key: Buffer.concat([PKCS8_X25519_PREFIX, rawPrivate]),
    format: 'der',
    type: 'pkcs8',
  });
  const jwk = createPublicKey(privateKey).export({ format: 'jwk' });
  return { publicKey: Buffer.from(jwk.x!, 'base64url'), privateKey };
}

/** Returns the 32 raw bytes of the private key, for passing the pair to another thread. */
export function privateKeyBytes({ privateKey }: NodeKeyPair): Buffer {
  return Buffer.from(privateKey.export({ format: 'jwk' }).d!, 'base64url');
}

/** A new random key pair. */
export function generateNodeKeyPair(): NodeKeyPair {
  return nodeKeyPair(clamp(randomBytes(KEY_BYTES)));
}

/** `privkey:` + 64 hex digits of a new clamped private key, for a key file. */
export function generatePrivateKeyText(): string {
  return PRIVATE_PREFIX + clamp(randomBytes(KEY_BYTES)).toString('hex');
}

/** Reads the `privkey:` form. Throws `TOWPATH_KEY_INVALID`, without the text in the message. */
export function parsePrivateKey(text: string): NodeKeyPair {
  const hex = text.startsWith(PRIVATE_PREFIX) ? text.slice(PRIVATE_PREFIX.length) : '';
  if (!HEX_DIGITS.holds(hex, KEY_DIGITS)) {
    throw new TowpathError('TOWPATH_KEY_INVALID', 'the private key is not "privkey:" and 64 hex digits', {
      hint: 'Make a new key with "towpath keygen".',
    });
  }
  return nodeKeyPair(Buffer.from(hex, 'hex'));
}
