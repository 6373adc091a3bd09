import { sealBox } from './box.ts';
import { encodeFrame, FrameType, KEY_BYTES, MAGIC, MAX_GREETING_BYTES, PROTOCOL_VERSION } from './frames.ts';
import { parseForeignJson } from './json.ts';
import { parseHexKey } from './keys.ts';

/**
 * The handshake of both sides (protocol reference §1.2 and §3): the 101 response, ServerKey, ClientInfo, ServerInfo.
 */

/** Longest `AppName` in bytes (§12). */
const MAX_APP_NAME_BYTES = 32;
const FIRST_PRINTABLE = 0x20;
const LAST_PRINTABLE = 0x7e;

/** What a client says about itself (§3.3). */
export interface ClientInfo {
  /** The mesh key it claims to know, 32 bytes; null when it claims none. */
  readonly meshKey: Buffer | null;
  readonly version: number;
  readonly canAckPings: boolean;
  readonly isProber: boolean;
  /** The name of the program as it was sent, or empty. {@link isAppName} checks it. */
  readonly appName: string;
}

/** What a server says about itself (§3.4). 0 means no advice. */
export interface ServerInfo {
  readonly version: number;
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
}

/** The response head of the upgrade (§1.2). The greeting follows in the same write. */
export function upgradeResponseHead(publicKey: Buffer): string {
  return (
    'HTTP/1.1 101 Switching Protocols\r\n' +
    'Upgrade: DERP\r\n' +
    'Connection: Upgrade\r\n' +
    `Derp-Version: ${PROTOCOL_VERSION}\r\n` +
    `Derp-Public-Key: ${publicKey.toString('hex')}\r\n` +
    '\r\n'
  );
}

/**
 * Returns a copy of the server's public key from the ServerKey payload `[from, to)`; null when it is not a DERP
 * greeting (§2.4).
 */
export function parseServerKey(buffer: Buffer, from: number, to: number): Buffer | null {
  const keyAt = from + MAGIC.length;
  if (to - from > MAX_GREETING_BYTES || to < keyAt + KEY_BYTES) return null;
  if (!buffer.subarray(from, keyAt).equals(MAGIC)) return null;
  return Buffer.from(buffer.subarray(keyAt, keyAt + KEY_BYTES));
}

/** The ClientInfo frame, sealed for the server. `nonce` is random unless a test gives it. */
export function encodeClientInfo(parts: {
  readonly publicKey: Buffer;
  readonly sharedKey: Buffer;
  readonly info: Partial<ClientInfo>;
  readonly nonce?: Buffer;
}): Buffer {
  const { meshKey, version = PROTOCOL_VERSION, canAckPings = false, isProber = false, appName = '' } = parts.info;
  const json = JSON.stringify({
    meshKey: meshKey?.toString('hex'),
    version: version === 0 ? undefined : version,
    CanAckPings: canAckPings,
    IsProber: isProber ? true : undefined,
    AppName: appName === '' ? undefined : appName,
  });
  return encodeFrame(FrameType.ClientInfo, parts.publicKey, sealBox(parts.sharedKey, Buffer.from(json), parts.nonce));
}

/**
 * Reads the opened ClientInfo as Go's JSON decoder would (§3.3): keys in any case, unknown ones ignored, null leaves a
 * default. Null when it is not a JSON object or a known key has a wrong value; the connection then ends.
 */
export function parseClientInfo(plain: Buffer): ClientInfo | null {
  const fields = parseObject(plain);
  if (fields === null) return null;
  const meshText = fields.get('meshkey');
  const meshKey = typeof meshText === 'string' ? parseHexKey(meshText) : null;
  // A malformed mesh key, null included, is an error even when no mesh is configured.
  if (meshText !== undefined && meshKey === null) return null;
  const version = integerField(fields, 'version');
  const canAckPings = booleanField(fields, 'canackpings');
  const isProber = booleanField(fields, 'isprober');
  const appName = fields.get('appname') ?? '';
  if (version === null || canAckPings === null || isProber === null || typeof appName !== 'string') return null;
  return { meshKey, version, canAckPings, isProber, appName };
}

/** Whether `text` may be an `AppName`: at most 32 bytes of printable ASCII, or nothing (§12). */
export function isAppName(text: string): boolean {
  if (text.length > MAX_APP_NAME_BYTES) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < FIRST_PRINTABLE || code > LAST_PRINTABLE) return false;
  }
  return true;
}

/** The ServerInfo frame, sealed for the client. Without a limit its JSON is exactly `{"version":2}`. */
export function encodeServerInfo(parts: {
  readonly sharedKey: Buffer;
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
  readonly nonce?: Buffer;
}): Buffer {
  const json = JSON.stringify({
    version: PROTOCOL_VERSION,
    TokenBucketBytesPerSecond: parts.bytesPerSecond === 0 ? undefined : parts.bytesPerSecond,
    TokenBucketBytesBurst: parts.burstBytes === 0 ? undefined : parts.burstBytes,
  });
  return encodeFrame(FrameType.ServerInfo, sealBox(parts.sharedKey, Buffer.from(json), parts.nonce));
}

/** Reads the opened ServerInfo; null when it is not a JSON object or a known key has a wrong value (§2.4). */
export function parseServerInfo(plain: Buffer): ServerInfo | null {
  const fields = parseObject(plain);
  if (fields === null) return null;
  const version = integerField(fields, 'version');
  const bytesPerSecond = integerField(fields, 'tokenbucketbytespersecond');
  const burstBytes = integerField(fields, 'tokenbucketbytesburst');
  if (version === null || bytesPerSecond === null || burstBytes === null) return null;
  return { version, bytesPerSecond, burstBytes };
}

/** Fields of a JSON object by lower-case key; of keys that differ only in case the last counts, as in Go. */
function parseObject(plain: Buffer): Map<string, unknown> | null {
  let value: unknown;
  try {
    value = parseForeignJson(plain);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  return new Map(Object.entries(value).map(([key, field]: [string, unknown]) => [key.toLowerCase(), field]));
}

function integerField(fields: Map<string, unknown>, key: string): number | null {
  const value = fields.get(key) ?? 0;
  return Number.isSafeInteger(value) ? (value as number) : null;
}

function booleanField(fields: Map<string, unknown>, key: string): boolean | null {
  const value = fields.get(key) ?? false;
  return typeof value === 'boolean' ? value : null;
}
