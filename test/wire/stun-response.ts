import { MAX_IP_BYTES, writeIp } from '../../src/base/ip-address.ts';
import { writeBindingResponse } from '../../src/wire/stun.ts';

/** Writes the answer to a STUN request to the start of `out`, for an address as text. Returns its length. */
export function writeStunResponse(out: Buffer, request: Buffer, requestFrom: number, ip: string, port: number): number {
  const address = new Uint8Array(MAX_IP_BYTES);
  const length = writeIp(address, 0, ip);
  return length === 0 ? 0 : writeBindingResponse(out, request, requestFrom, address, length, port);
}
