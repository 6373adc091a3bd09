import type { KeyObject } from 'node:crypto';
import { openBox, sealBox, sharedBoxKey } from './box.ts';
import { DISCO_MAGIC, KEY_BYTES, looksLikeDisco, NONCE_BYTES } from './frames.ts';
import type { NodeKeyPair } from './keys.ts';

/**
 * The envelope of every disco message, over DERP and over UDP (peer relay reference §2): magic, the sender's disco key, a
 * nonce, and a NaCl box of the message.
 */

const KEY_OFFSET = DISCO_MAGIC.length;
const BOX_OFFSET = KEY_OFFSET + KEY_BYTES;
const TAG_BYTES = 16;
/** What the envelope adds to a message. */
export const DISCO_ENVELOPE_BYTES: number = BOX_OFFSET + NONCE_BYTES + TAG_BYTES;

/**
 * Returns the key that both ends of a disco conversation share, or null when `publicKey` is invalid: zero, or another
 * point of low order. Any sender can send such a key, so it must not cause an exception.
 */
export function sharedDiscoKey(privateKey: KeyObject, publicKey: Buffer): Buffer | null {
  try {
    return sharedBoxKey(privateKey, publicKey);
  } catch {
    return null;
  }
}

/** Returns the sender's disco key in the packet `[from, to)`, as a view; null when the packet is not a disco packet. */
export function discoSender(packet: Buffer, from = 0, to: number = packet.length): Buffer | null {
  if (!looksLikeDisco(packet, from, to)) return null;
  return packet.subarray(from + KEY_OFFSET, from + BOX_OFFSET);
}

/** Returns the message inside the packet `[from, to)`; null when it was sealed with another key, changed or cut. */
export function openDisco(sharedKey: Buffer, packet: Buffer, from = 0, to: number = packet.length): Buffer | null {
  if (to - from < DISCO_ENVELOPE_BYTES) return null;
  try {
    return openBox(sharedKey, packet.subarray(from + BOX_OFFSET, to));
  } catch {
    return null;
  }
}

/** Seals a message of `sender`: {@link DISCO_ENVELOPE_BYTES} longer. `nonce` is random unless a test gives it. */
export function sealDisco(
  sender: Pick<NodeKeyPair, 'publicKey'>,
  sharedKey: Buffer,
  message: Uint8Array,
  nonce?: Buffer,
): Buffer {
  return Buffer.concat([DISCO_MAGIC, sender.publicKey, sealBox(sharedKey, message, nonce)]);
}
