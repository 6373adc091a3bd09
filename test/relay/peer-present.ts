import { formatIp } from '../../src/base/ip-address.ts';

const KEY_BYTES = 32;
const IP_BYTES = 16;
const PRESENT_BYTES = 51;
const IPV4_MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex');

/** What the payload of a PeerPresent frame says beside the key. What is missing is empty or 0. */
export function decodePeerPresent(payload: Buffer): { ip: string; port: number; flags: number; app: string } {
  const hasAddress = payload.length >= PRESENT_BYTES - 1;
  const address = payload.subarray(KEY_BYTES, KEY_BYTES + IP_BYTES);
  const isKnown = hasAddress && address.some((byte) => byte !== 0);
  const isIpv4 = isKnown && address.subarray(0, IPV4_MAPPED_PREFIX.length).equals(IPV4_MAPPED_PREFIX);
  return {
    ip: isKnown ? formatIp(isIpv4 ? address.subarray(IPV4_MAPPED_PREFIX.length) : address) : '',
    port: hasAddress ? payload.readUInt16BE(KEY_BYTES + IP_BYTES) : 0,
    flags: payload[PRESENT_BYTES - 1] ?? 0,
    app: payload.toString('latin1', PRESENT_BYTES + 1, PRESENT_BYTES + 1 + (payload[PRESENT_BYTES] ?? 0)),
  };
}
