import { createHash } from 'node:crypto';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { x25519 } from '../wire/box.ts';
import { KEY_BYTES } from '../wire/frames.ts';
import { generateNodeKeyPair, type NodeKeyPair } from '../wire/keys.ts';

/**
 * The Noise handshake with a control server, `Noise_IK_25519_ChaChaPoly_BLAKE2s` (peer-relay reference §13.3). BLAKE2s
 * comes from node:crypto. HMAC is written here and ChaCha20-Poly1305 comes from @noble/ciphers, because Bun's
 * node:crypto has neither.
 */

const PROTOCOL = Buffer.from('Noise_IK_25519_ChaChaPoly_BLAKE2s');
const PROLOGUE = 'Tailscale Control Protocol v';
const HASH_BLOCK_BYTES = 64;
const NONCE_BYTES = 12;
const EMPTY = Buffer.alloc(0);

/** First byte after the version in an initiation, and first byte of each later message. */
export const NoiseMessage = { Initiation: 1, Response: 2, Error: 3, Record: 4 } as const;

/** An initiation: version(2), type(1), length(2), ephemeral(32), machine key(48), tag(16). */
export const INITIATION_BYTES = 101;
export const INITIATION_HEADER_BYTES = 5;
/** Header of every message of the server: type(1), length(2). */
export const NOISE_HEADER_BYTES = 3;
/** The body of a response: ephemeral(32), tag(16). */
export const RESPONSE_BODY_BYTES = 48;

/** A message that does not authenticate, or is not a valid message. */
export class NoiseError extends Error {
  override readonly name = 'NoiseError';
}

/** The two keys of a finished handshake, 32 bytes each. */
export interface NoiseKeys {
  readonly clientToServer: Buffer;
  readonly serverToClient: Buffer;
  /** The hash of the whole handshake, 32 bytes; both sides have the same. */
  readonly hash: Buffer;
}

/** One direction after the handshake: an AEAD with a big-endian counter as its nonce (§13.4). */
export class NoiseCipher {
  readonly #key: Buffer;
  readonly #nonce = Buffer.alloc(NONCE_BYTES);
  #counter = 0;

  constructor(key: Buffer) {
    this.#key = key;
  }

  /** Ciphertext and tag: 16 bytes more than `plain`. */
  seal(plain: Uint8Array): Uint8Array {
    return chacha20poly1305(this.#key, this.#next()).encrypt(plain);
  }

  /** Returns the plaintext. Throws a {@link NoiseError} when the bytes were changed or come in the wrong order. */
  open(sealed: Uint8Array): Uint8Array {
    return openSealed(this.#key, this.#next(), sealed, EMPTY);
  }

  #next(): Buffer {
    this.#nonce.writeUInt32BE(Math.floor(this.#counter / 2 ** 32), NONCE_BYTES - 8);
    this.#nonce.writeUInt32BE(this.#counter % 2 ** 32, NONCE_BYTES - 4);
    this.#counter++;
    return this.#nonce;
  }
}

/** The first half of the client's handshake. */
export interface NoiseInitiation {
  /** 101 bytes for the header `X-Tailscale-Handshake`. */
  readonly message: Buffer;
  /**
   * Reads the 48 bytes after the header of the server's response. Throws a {@link NoiseError} when another server sent
   * it.
   */
  finish(body: Buffer): NoiseKeys;
}

/**
 * Begins a handshake. `version` is the capability version, `machine` our static key pair, `serverKey` the raw public key
 * of the control server. `ephemeral` is random unless a test gives it. Throws for a server key of low order.
 */
export function initiate(
  version: number,
  machine: NodeKeyPair,
  serverKey: Buffer,
  ephemeral: NodeKeyPair = generateNodeKeyPair(),
): NoiseInitiation {
  const state = new SymmetricState(version, serverKey);
  state.mixHash(ephemeral.publicKey);
  state.mixKey(agree(ephemeral, serverKey));
  const sealedMachine = state.sealAndHash(machine.publicKey);
  state.mixKey(agree(machine, serverKey));
  const tag = state.sealAndHash(EMPTY);
  const header = Buffer.from([version >> 8, version & 0xff, NoiseMessage.Initiation, 0, 0]);
  header.writeUInt16BE(INITIATION_BYTES - INITIATION_HEADER_BYTES, 3);
  return {
    message: Buffer.concat([header, ephemeral.publicKey, sealedMachine, tag]),
    finish(body) {
      if (body.length !== RESPONSE_BODY_BYTES) throw new NoiseError('the response has the wrong length');
      const theirs = body.subarray(0, KEY_BYTES);
      state.mixHash(theirs);
      state.mixKey(agree(ephemeral, theirs));
      state.mixKey(agree(machine, theirs));
      state.openAndHash(body.subarray(KEY_BYTES));
      return state.split();
    },
  };
}

/** The hash and the chaining key of a handshake, for either side, and the key that the last agreement gave. */
export class SymmetricState {
  #hash: Buffer = blake2s(PROTOCOL);
  #chain: Buffer = this.#hash;
  #key: Buffer = EMPTY;

  constructor(version: number, serverKey: Buffer) {
    this.mixHash(Buffer.from(`${PROLOGUE}${version}`));
    this.mixHash(serverKey);
  }

  /** Adds bytes that both sides have seen to the hash. */
  mixHash(bytes: Uint8Array): void {
    this.#hash = blake2s(this.#hash, bytes);
  }

  /** Makes the next key from a secret of 32 bytes that both sides share. */
  mixKey(secret: Buffer): void {
    [this.#chain, this.#key] = deriveTwo(this.#chain, secret);
  }

  /** Encrypts `plain` with the key, and adds the result to the hash. Returns the result, 16 bytes longer than `plain`. */
  sealAndHash(plain: Buffer): Uint8Array {
    const sealed = chacha20poly1305(this.#key, Buffer.alloc(NONCE_BYTES), this.#hash).encrypt(plain);
    this.mixHash(sealed);
    return sealed;
  }

  /** Decrypts what {@link sealAndHash} of the other side returned. Throws a NoiseError when it does not authenticate. */
  openAndHash(sealed: Buffer): Uint8Array {
    const plain = openSealed(this.#key, Buffer.alloc(NONCE_BYTES), sealed, this.#hash);
    this.mixHash(sealed);
    return plain;
  }

  /** Ends the handshake: returns the keys for the messages of each direction. */
  split(): NoiseKeys {
    const [clientToServer, serverToClient] = deriveTwo(this.#chain, EMPTY);
    return { clientToServer, serverToClient, hash: this.#hash };
  }
}

/**
 * Returns the 32 bytes that both sides compute from one private and one public key (X25519). Throws a NoiseError for a
 * public key of low order.
 */
export function agree(ours: NodeKeyPair, theirs: Buffer): Buffer {
  try {
    return x25519(ours.privateKey, theirs);
  } catch (error) {
    throw new NoiseError('the key of the other side is of low order', { cause: error });
  }
}

function openSealed(key: Buffer, nonce: Buffer, sealed: Uint8Array, associated: Buffer): Uint8Array {
  try {
    return chacha20poly1305(key, nonce, associated).decrypt(sealed);
  } catch (error) {
    throw new NoiseError('a message does not authenticate', { cause: error });
  }
}

/** HKDF with two outputs (RFC 5869 with an empty info, which is also Noise's). */
function deriveTwo(chain: Buffer, secret: Buffer): [Buffer, Buffer] {
  const temporary = hmac(chain, secret);
  const first = hmac(temporary, Buffer.from([1]));
  return [first, hmac(temporary, first, Buffer.from([2]))];
}

function hmac(key: Buffer, ...parts: readonly Buffer[]): Buffer {
  const inner = Buffer.alloc(HASH_BLOCK_BYTES, 0x36);
  const outer = Buffer.alloc(HASH_BLOCK_BYTES, 0x5c);
  for (let i = 0; i < key.length; i++) {
    inner[i]! ^= key[i]!;
    outer[i]! ^= key[i]!;
  }
  return blake2s(outer, blake2s(inner, ...parts));
}

function blake2s(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('blake2s256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
