import { FRAME_HEADER_BYTES, KEY_BYTES } from '../../wire/frames.ts';
import { openBox, sharedBoxKey } from '../../wire/box.ts';
import { isAppName, parseClientInfo, type ClientInfo } from '../../wire/handshake.ts';
import { isZeroKey, type NodeKeyPair } from '../../wire/keys.ts';
import type { RefusalReason } from '../../observe/counters.ts';

/** A client that has proved its key. */
export interface Identity {
  /** Its node key, 32 bytes of our own. */
  readonly key: Buffer;
  /** For sealing ServerInfo. */
  readonly sharedKey: Buffer;
  readonly info: ClientInfo;
}

/** The client's identity, or why it is refused. */
export type Identification = { readonly identity: Identity } | { readonly refused: RefusalReason };

/**
 * Reads the ClientInfo frame `[from, to)`: opens its box, which proves the key, and parses what is inside (protocol
 * reference §3.2, §3.3). Zero and low-order keys are refused, which upstream fails to do (§11.4).
 */
export function identify(serverKeys: NodeKeyPair, buffer: Buffer, from: number, to: number): Identification {
  const at = from + FRAME_HEADER_BYTES;
  const key = Buffer.from(buffer.subarray(at, at + KEY_BYTES));
  if (isZeroKey(key)) return { refused: 'client_info_key' };
  let sharedKey: Buffer;
  try {
    sharedKey = sharedBoxKey(serverKeys.privateKey, key);
  } catch {
    return { refused: 'client_info_key' };
  }
  let plain: Buffer;
  try {
    plain = openBox(sharedKey, buffer.subarray(at + KEY_BYTES, to));
  } catch {
    return { refused: 'client_info_box' };
  }
  const info = parseClientInfo(plain);
  if (info === null) return { refused: 'client_info_json' };
  return isAppName(info.appName) ? { identity: { key, sharedKey, info } } : { refused: 'client_info_app' };
}
