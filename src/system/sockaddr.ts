import { formatIp, parseIp } from '../base/ip-address.ts';
import { AF_INET, AF_INET6 } from './linux.ts';

/** Room for the address of a socket of either family: `sockaddr_in6` has 28 bytes, `sockaddr_in` 16. */
export const SOCKADDR_BYTES = 28;
const INET_BYTES = 16;
const MAX_PORT = 65_535;
const PORT_AT = 2;
const INET_IP_AT = 4;
const INET6_IP_AT = 8;

/**
 * Writes `ip` (a zone is left out) and `port` as a `sockaddr` to `bytes` at `at`, which has room for {@link
 * SOCKADDR_BYTES}. Returns its length in bytes, or 0, with nothing written, when the text is not an address or the
 * number is not a port.
 */
export function writeSockaddr(bytes: Buffer, at: number, ip: string, port: number): number {
  const raw = parseIp(ip);
  if (raw === null || !(port >= 0 && port <= MAX_PORT)) return 0;
  const isInet = raw.length === 4;
  bytes.fill(0, at, at + SOCKADDR_BYTES);
  bytes.writeUInt16LE(isInet ? AF_INET : AF_INET6, at);
  bytes.writeUInt16BE(port, at + PORT_AT);
  raw.copy(bytes, at + (isInet ? INET_IP_AT : INET6_IP_AT));
  return isInet ? INET_BYTES : SOCKADDR_BYTES;
}

/**
 * Reads the address and port of a `sockaddr` at `at`; null when it is of another family. Allocates: not for every
 * packet.
 */
export function readSockaddr(bytes: Buffer, at: number): { ip: string; port: number } | null {
  const family = bytes.readUInt16LE(at);
  if (family !== AF_INET && family !== AF_INET6) return null;
  const from = at + (family === AF_INET ? INET_IP_AT : INET6_IP_AT);
  return {
    ip: formatIp(bytes.subarray(from, from + (family === AF_INET ? 4 : 16))),
    port: bytes.readUInt16BE(at + PORT_AT),
  };
}
