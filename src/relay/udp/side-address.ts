import { formatHostPort, formatIp, writeIp } from '../../base/ip-address.ts';
import { ADDRESS_WORDS, AF_INET, AF_INET6, SideWord } from './port.ts';

const scratch = Buffer.alloc(16);

/**
 * Returns a port in the order of a word's high half: words are read in little-endian order, ports are in network order.
 */
function swapped(port: number): number {
  return ((port & 0xff) << 8) | (port >>> 8);
}

/**
 * Writes a remote address to the {@link ADDRESS_WORDS} words at `at`. Returns false and writes nothing when `ip` is
 * invalid.
 */
export function writeAddress(words: Int32Array, at: number, ip: string, port: number): boolean {
  const length = writeIp(scratch, 0, ip);
  if (length === 0) return false;
  words.fill(0, at, at + ADDRESS_WORDS);
  words[at] = (length === 4 ? AF_INET : AF_INET6) | (swapped(port) << 16);
  if (length === 4) words[at + SideWord.Ipv4] = scratch.readInt32LE(0);
  else for (let i = 0; i < 4; i++) words[at + SideWord.Ipv6 + i] = scratch.readInt32LE(i * 4);
  return true;
}

/** Word 2 of an IPv4-mapped IPv6 address (`::ffff:0:0/96`), in little-endian order. */
const MAPPED = -0x10000;

/**
 * Makes IPv4 addresses of IPv4-mapped ones: the remote address at `at`, and the local one at the start of `local`. A
 * socket of both families has them. The kernel takes IPv4 addresses to send to.
 */
export function unmapAddresses(words: Int32Array, at: number, local: Int32Array): void {
  const first = at + SideWord.Ipv6;
  if (!isIpv6(words, at) || words[first] !== 0 || words[first + 1] !== 0 || words[first + 2] !== MAPPED) return;
  words[at]! ^= AF_INET6 ^ AF_INET;
  words[at + SideWord.Ipv4] = words[first + 3]!;
  for (let i = first; i < at + ADDRESS_WORDS; i++) words[i] = 0;
  local[0] = local[3]!;
  local[1] = 0;
  local[2] = 0;
  local[3] = 0;
}

/** Returns whether there is an address: an unbound side has none. */
export function hasAddress(words: Int32Array, at: number): boolean {
  return words[at] !== 0;
}

/** Returns whether the address at `at` is an IPv6 address. */
export function isIpv6(words: Int32Array, at: number): boolean {
  return (words[at]! & 0xffff) === AF_INET6;
}

/** Returns the port of the address at `at`. */
export function portOf(words: Int32Array, at: number): number {
  return swapped(words[at]! >>> 16);
}

/** Returns the 4 or 16 bytes of the IP of the address at `at`, in a new buffer. */
export function ipBytesOf(words: Int32Array, at: number): Buffer {
  return isIpv6(words, at) ? bytesOf(words, at + SideWord.Ipv6, 4) : bytesOf(words, at + SideWord.Ipv4, 1);
}

/** Returns the address at `at` as text, or the empty string when there is none. */
export function formatAddress(words: Int32Array, at: number): string {
  return hasAddress(words, at) ? formatHostPort(formatIp(ipBytesOf(words, at)), portOf(words, at)) : '';
}

/** Returns whether two addresses are the same; costs no allocation. */
export function sameAddress(a: Int32Array, i: number, b: Int32Array, j: number): boolean {
  const head = a[i]!;
  if (head !== b[j]) return false;
  if ((head & 0xffff) === AF_INET) return a[i + SideWord.Ipv4] === b[j + SideWord.Ipv4];
  return (
    a[i + SideWord.Ipv6] === b[j + SideWord.Ipv6] &&
    a[i + SideWord.Ipv6 + 1] === b[j + SideWord.Ipv6 + 1] &&
    a[i + SideWord.Ipv6 + 2] === b[j + SideWord.Ipv6 + 2] &&
    a[i + SideWord.Ipv6 + 3] === b[j + SideWord.Ipv6 + 3] &&
    a[i + SideWord.Scope] === b[j + SideWord.Scope]
  );
}

function bytesOf(words: Int32Array, at: number, count: number): Buffer {
  const bytes = Buffer.alloc(count * 4);
  for (let i = 0; i < count; i++) bytes.writeInt32LE(words[at + i]!, i * 4);
  return bytes;
}
