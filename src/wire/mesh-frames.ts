import { formatIp, MAX_IP_BYTES, writeIp } from '../base/ip-address.ts';
import { encodeFrame, FRAME_HEADER_BYTES, FrameType, KEY_BYTES, MAX_PACKET_BYTES } from './frames.ts';

/** Frames between the relays of one region (protocol reference §2.2, §4.10, §12). */

/** Flags of a connection in PeerPresent (§2.5). `Regular` is set when no other flag is. */
export const PresentFlag = { Regular: 1, Mesh: 2, Prober: 4, NotIdeal: 8 } as const;

/** Bytes of a ForwardPacket frame around a packet: header, source key, destination key. */
export const FORWARD_PACKET_OVERHEAD_BYTES: number = FRAME_HEADER_BYTES + 2 * KEY_BYTES;
/** Bounds of the payload of a ForwardPacket frame. */
export const MIN_FORWARD_PAYLOAD_BYTES: number = 2 * KEY_BYTES;
export const MAX_FORWARD_PAYLOAD_BYTES: number = 2 * KEY_BYTES + MAX_PACKET_BYTES;

/** The WatchConns frame; shared and read-only. */
export const WATCH_CONNS_FRAME: Buffer = encodeFrame(FrameType.WatchConns);

const IPV4_BYTES = 4;
const IPV4_MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex');
/** Key, address, port and flags. The length and the bytes of the application name follow. */
const PRESENT_BYTES = KEY_BYTES + MAX_IP_BYTES + 2 + 1;

/** PeerPresent for a connection of `key`, 32 bytes. `ip` is canonical text or empty; `app` is ASCII of at most 32 bytes (§12). */
export function encodePeerPresent(
  key: Uint8Array,
  {
    ip,
    port,
    flags,
    app,
  }: { readonly ip: string; readonly port: number; readonly flags: number; readonly app: string },
): Buffer {
  const payload = Buffer.alloc(PRESENT_BYTES + 1 + app.length);
  payload.set(key, 0);
  if (writeIp(payload, KEY_BYTES, ip) === IPV4_BYTES) {
    payload.copyWithin(KEY_BYTES + IPV4_MAPPED_PREFIX.length, KEY_BYTES, KEY_BYTES + IPV4_BYTES);
    payload.set(IPV4_MAPPED_PREFIX, KEY_BYTES);
  }
  payload.writeUInt16BE(port, KEY_BYTES + MAX_IP_BYTES);
  payload[PRESENT_BYTES - 1] = flags;
  payload[PRESENT_BYTES] = app.length;
  payload.write(app, PRESENT_BYTES + 1, 'latin1');
  return encodeFrame(FrameType.PeerPresent, payload);
}

/** Reads the payload of a PeerPresent frame, without the key. Missing fields are empty or 0. */
export function decodePeerPresent(payload: Buffer): { ip: string; port: number; flags: number; app: string } {
  const hasAddress = payload.length >= PRESENT_BYTES - 1;
  const address = payload.subarray(KEY_BYTES, KEY_BYTES + MAX_IP_BYTES);
  const isKnown = hasAddress && address.some((byte) => byte !== 0);
  const isIpv4 = isKnown && address.subarray(0, IPV4_MAPPED_PREFIX.length).equals(IPV4_MAPPED_PREFIX);
  return {
    ip: isKnown ? formatIp(isIpv4 ? address.subarray(IPV4_MAPPED_PREFIX.length) : address) : '',
    port: hasAddress ? payload.readUInt16BE(KEY_BYTES + MAX_IP_BYTES) : 0,
    flags: payload[PRESENT_BYTES - 1] ?? 0,
    app: payload.toString('latin1', PRESENT_BYTES + 1, PRESENT_BYTES + 1 + (payload[PRESENT_BYTES] ?? 0)),
  };
}
