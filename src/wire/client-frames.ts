import { encodeFrame, FRAME_HEADER_BYTES, FrameType, KEY_BYTES, PING_BYTES, writeFrameHeader } from './frames.ts';

/** Frames that clients send (protocol reference §2.2). */

/** Bytes of a SendPacket frame around a packet: header and destination key. */
export const SEND_PACKET_OVERHEAD_BYTES: number = FRAME_HEADER_BYTES + KEY_BYTES;

/** Writes a SendPacket frame at `offset` of `buffer`, which must have the room; returns the offset after it. */
export function writeSendPacket(buffer: Buffer, offset: number, destination: Uint8Array, packet: Uint8Array): number {
  let at = writeFrameHeader(buffer, offset, FrameType.SendPacket, KEY_BYTES + packet.length);
  buffer.set(destination, at);
  at += KEY_BYTES;
  buffer.set(packet, at);
  return at + packet.length;
}

/** NotePreferred: whether this relay is the client's home. */
export function encodeNotePreferred(home: boolean): Buffer {
  return encodeFrame(FrameType.NotePreferred, Buffer.of(home ? 1 : 0));
}

/** Ping; `data` is 8 bytes that the Pong returns. */
export function encodePing(data: Uint8Array): Buffer {
  return encodeFrame(FrameType.Ping, data.subarray(0, PING_BYTES));
}

/** Pong: the first 8 bytes of the Ping. */
export function encodePong(data: Uint8Array): Buffer {
  return encodeFrame(FrameType.Pong, data.subarray(0, PING_BYTES));
}
