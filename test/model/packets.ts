import { SEND_PACKET_OVERHEAD_BYTES, writeSendPacket } from '../../src/wire/client-frames.ts';
import { KEY_BYTES } from '../../src/wire/frames.ts';
import { generateNodeKeyPair, type NodeKeyPair } from '../../src/wire/keys.ts';
import { packetName, type Expected } from './model.ts';

/** Keys of the clients; the model names them by their index. A higher index is a key without a client. */
export const KEY_PAIRS: readonly NodeKeyPair[] = Array.from({ length: 5 }, () => generateNodeKeyPair());
const DISCO_MAGIC = Buffer.from('5453f09f92ac', 'hex');
/** Smallest packet that looks like disco, in bytes. */
export const LEAST_DISCO_BYTES = 62;
/** Bytes of sender and sequence number; in disco packets, the magic is before them. */
export const LEAST_OTHER_BYTES = 8;

/** Returns the index of a public key, or -1. */
export function indexOfKey(key: Buffer): number {
  return KEY_PAIRS.findIndex(({ publicKey }) => publicKey.equals(key));
}

/** Returns a SendPacket frame. The packet has its sender and number, and is filled with the low byte of the number. */
export function packetFrame(destination: number, { sender, sequence, kind, bytes }: Expected): Buffer {
  const packet = Buffer.alloc(bytes, sequence & 0xff);
  const at = kind === 'disco' ? DISCO_MAGIC.copy(packet) : 0;
  packet.writeUInt32BE(sender, at);
  packet.writeUInt32BE(sequence, at + 4);
  const frame = Buffer.alloc(SEND_PACKET_OVERHEAD_BYTES + bytes);
  writeSendPacket(frame, 0, KEY_PAIRS[destination]?.publicKey ?? Buffer.alloc(KEY_BYTES, 0xf0 + destination), packet);
  return frame;
}

/** Reads such a packet; packets of one `stream` must stay in order. */
export function readPacket(packet: Buffer): {
  readonly name: string;
  readonly stream: string;
  readonly sequence: number;
  readonly isIntact: boolean;
} {
  const isDisco = packet.length >= LEAST_DISCO_BYTES && packet.subarray(0, DISCO_MAGIC.length).equals(DISCO_MAGIC);
  const at = isDisco ? DISCO_MAGIC.length : 0;
  const sender = packet.readUInt32BE(at);
  const sequence = packet.readUInt32BE(at + 4);
  return {
    name: packetName(sender, sequence),
    stream: `${sender} ${isDisco ? 'disco' : 'other'}`,
    sequence,
    isIntact: packet.subarray(at + 8).every((byte) => byte === (sequence & 0xff)),
  };
}
