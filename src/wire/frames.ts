/**
 * Converts bytes of the wire to values and back: no socket, no time, no log. Each file is one format, with limits for
 * untrusted senders: DERP frames and handshake, keys and boxes, STUN, disco, Geneve, PROXY headers, request heads.
 *
 * This file defines the DERP frames: `type(1) length(4, big-endian) payload(length)` (protocol reference §2). Constants
 * and encoders; the decoder is in `frame-decoder.ts`.
 */

/** Frame types (§2.2). */
export const FrameType = {
  ServerKey: 0x01,
  ClientInfo: 0x02,
  ServerInfo: 0x03,
  SendPacket: 0x04,
  RecvPacket: 0x05,
  KeepAlive: 0x06,
  NotePreferred: 0x07,
  PeerGone: 0x08,
  PeerPresent: 0x09,
  ForwardPacket: 0x0a,
  WatchConns: 0x10,
  ClosePeer: 0x11,
  Ping: 0x12,
  Pong: 0x13,
  Health: 0x14,
  Restarting: 0x15,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

/** Reasons in a PeerGone frame (§2.5). */
export const PeerGoneReason = { Disconnected: 0x00, NotHere: 0x01 } as const;
export type PeerGoneReason = (typeof PeerGoneReason)[keyof typeof PeerGoneReason];

/** Protocol version that both sides announce. */
export const PROTOCOL_VERSION = 2;
export const FRAME_HEADER_BYTES = 5;
export const KEY_BYTES = 32;
export const NONCE_BYTES = 24;
/** Largest packet that peers see, in bytes. */
export const MAX_PACKET_BYTES = 65_536;
/** Largest payload of a SendPacket or RecvPacket frame, and of an unknown frame that a server skips (§12). */
export const MAX_SEND_PAYLOAD_BYTES: number = KEY_BYTES + MAX_PACKET_BYTES;
/** Largest SendPacket or RecvPacket frame, header included. */
export const MAX_PACKET_FRAME_BYTES: number = FRAME_HEADER_BYTES + MAX_SEND_PAYLOAD_BYTES;
/** Smallest ClientInfo payload: key and nonce (§0.1). */
export const MIN_CLIENT_INFO_BYTES: number = KEY_BYTES + NONCE_BYTES;
/** Largest ClientInfo payload a server accepts. */
export const MAX_CLIENT_INFO_BYTES = 262_144;
/** Largest frame a client accepts; also the ceiling for ServerInfo. */
export const MAX_CLIENT_FRAME_BYTES = 1_048_576;
/** Largest greeting (ServerKey payload) a client accepts. */
export const MAX_GREETING_BYTES = 1024;
/** Bounds of a Ping payload; only the first 8 bytes are echoed. */
export const PING_BYTES = 8;
export const MAX_PING_PAYLOAD_BYTES = 1000;
/** First bytes of the ServerKey payload: `DERP` and the key emoji. */
export const MAGIC: Buffer = Buffer.from('DERP\u{1f511}', 'utf8');
/** First bytes of a disco packet: `TS` and the speech balloon emoji. */
export const DISCO_MAGIC: Buffer = Buffer.from('TS\u{1f4ac}', 'utf8');
/** A packet shorter than magic, key and nonce is not a disco packet (§4.3). */
const MIN_DISCO_BYTES = 62;

const DISCO_MAGIC_HEAD = DISCO_MAGIC.readUInt32BE(0);
const DISCO_MAGIC_TAIL = DISCO_MAGIC.readUInt16BE(4);

/** True when the packet `[from, to)` looks like a disco message: at least 62 bytes and the disco magic (§4.3). */
export function looksLikeDisco(buffer: Buffer, from: number, to: number): boolean {
  return (
    to - from >= MIN_DISCO_BYTES &&
    buffer[from] === DISCO_MAGIC[0] &&
    buffer.readUInt32BE(from) === DISCO_MAGIC_HEAD &&
    buffer.readUInt16BE(from + 4) === DISCO_MAGIC_TAIL
  );
}

/** Writes a frame header at `offset` of `buffer`, which must have 5 bytes of room there; returns the offset after it. */
export function writeFrameHeader(buffer: Buffer, offset: number, type: FrameType, payloadBytes: number): number {
  buffer[offset] = type;
  return buffer.writeUInt32BE(payloadBytes, offset + 1);
}

/** A whole frame around the concatenated `parts`. */
export function encodeFrame(type: FrameType, ...parts: readonly Uint8Array[]): Buffer {
  let payloadBytes = 0;
  for (const part of parts) payloadBytes += part.length;
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payloadBytes);
  let offset = writeFrameHeader(frame, 0, type, payloadBytes);
  for (const part of parts) {
    frame.set(part, offset);
    offset += part.length;
  }
  return frame;
}

/** The ServerKey frame, which is the server's greeting (§2.2). */
export function encodeServerKey(serverPublicKey: Uint8Array): Buffer {
  return encodeFrame(FrameType.ServerKey, MAGIC, serverPublicKey);
}

/** PeerGone for `key` (§4.7). */
export function encodePeerGone(key: Uint8Array, reason: PeerGoneReason): Buffer {
  return encodeFrame(FrameType.PeerGone, key, Buffer.of(reason));
}

/** Health: the text of a problem, or an empty string when it is solved. */
export function encodeHealth(problem: string): Buffer {
  return encodeFrame(FrameType.Health, Buffer.from(problem, 'utf8'));
}

/** Restarting: clients reconnect after `reconnectInMs`, and try for `tryForMs`. */
export function encodeRestarting(reconnectInMs: number, tryForMs: number): Buffer {
  const times = Buffer.allocUnsafe(8);
  times.writeUInt32BE(reconnectInMs, 0);
  times.writeUInt32BE(tryForMs, 4);
  return encodeFrame(FrameType.Restarting, times);
}

/** The KeepAlive frame; shared and read-only. */
export const KEEP_ALIVE_FRAME: Buffer = encodeFrame(FrameType.KeepAlive);
