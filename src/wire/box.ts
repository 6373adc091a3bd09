import { createPublicKey, diffieHellman, randomBytes, type KeyObject } from 'node:crypto';
import { hsalsa, xsalsa20poly1305 } from '@noble/ciphers/salsa.js';
import { KEY_BYTES, NONCE_BYTES } from './frames.ts';

/**
 * NaCl `crypto_box` (protocol reference §3.2): X25519 from node:crypto, HSalsa20 and XSalsa20-Poly1305 from
 * @noble/ciphers. On the wire: nonce(24), tag(16), ciphertext.
 */

/** DER of an X25519 SubjectPublicKeyInfo up to the 32 key bytes (RFC 8410). */
const SPKI_X25519_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');
const SIGMA = words(Buffer.from('expand 32-byte k'));
const ZERO_BLOCK = new Uint32Array(4);

function words(bytes: Buffer): Uint32Array {
  const out = new Uint32Array(bytes.length / 4);
  for (let i = 0; i < out.length; i++) out[i] = bytes.readUInt32LE(i * 4);
  return out;
}

/**
 * The key that both directions of one connection share: one X25519 serves ClientInfo and ServerInfo.
 * Throws for low-order public keys, the zero key among them.
 */
export function sharedBoxKey(privateKey: KeyObject, peerPublicKey: Buffer): Buffer {
  const shared = x25519(privateKey, peerPublicKey);
  const out = new Uint32Array(8);
  hsalsa(SIGMA, words(shared), ZERO_BLOCK, out);
  return Buffer.from(out.buffer);
}

/**
 * Returns the 32 bytes that both sides compute from their own private and the other's raw public key. Throws for keys
 * of low order.
 */
export function x25519(privateKey: KeyObject, peerPublicKey: Buffer): Buffer {
  return diffieHellman({ privateKey, publicKey: importPublicKey(peerPublicKey) });
}

function importPublicKey(raw: Buffer): KeyObject {
  const key = Buffer.concat([SPKI_X25519_PREFIX, raw.subarray(0, KEY_BYTES)]);
  const { stackTraceLimit } = Error;
  // Node 24 makes an error internally and discards it: its stack trace cost 4 % of a whole TLS and DERP handshake.
  Error.stackTraceLimit = 0;
  try {
    return createPublicKey({ key, format: 'der', type: 'spki' });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** Seals `plain`: nonce, tag and ciphertext, 40 bytes longer than `plain`. `nonce` is random unless a test gives it. */
export function sealBox(sharedKey: Buffer, plain: Uint8Array, nonce: Buffer = randomBytes(NONCE_BYTES)): Buffer {
  return Buffer.concat([nonce, xsalsa20poly1305(sharedKey, nonce).encrypt(plain)]);
}

/** Opens a box of {@link sealBox}. Throws when it was sealed with another key or changed on the path. */
export function openBox(sharedKey: Buffer, sealed: Buffer): Buffer {
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const plain = xsalsa20poly1305(sharedKey, nonce).decrypt(sealed.subarray(NONCE_BYTES));
  return Buffer.from(plain.buffer, plain.byteOffset, plain.length);
}
