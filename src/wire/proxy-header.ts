/**
 * The PROXY protocol, versions 1 and 2: a header before the first byte of a connection, in which a proxy names its
 * client (haproxy.org, proxy-protocol.txt). This file has the receiving side, and the sending side of version 2.
 */
import { DIGITS } from './character-set.ts';
import { canonicalIp, formatIp, parseIp } from '../base/ip-address.ts';

/** The addresses that a proxy has announced. */
interface ProxiedAddress {
  readonly ip: string;
  readonly port: number;
}

/** The result of parsing the first bytes of a connection. */
export type ProxyHeader =
  /** Not enough bytes yet to tell. */
  | { readonly kind: 'more' }
  /** No header, or a broken one. */
  | { readonly kind: 'invalid'; readonly detail: string }
  /**
   * A header of `bytes` bytes. `source` is null for the proxy's own connections (health checks) and unknown clients.
   */
  | { readonly kind: 'header'; readonly bytes: number; readonly source: ProxiedAddress | null };

const SIGNATURE_1 = Buffer.from('PROXY ', 'latin1');
const SIGNATURE_2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** The longest version 1 header, with its line end (PROXY protocol, section 2.1). */
const MAX_LINE_BYTES = 107;
const FIXED_BYTES = 16;
/** Addresses and extensions. Real headers are far shorter. The extensions are skipped. */
const MAX_BODY_BYTES = 4096;
const COMMAND = { Local: 0x20, Proxy: 0x21 } as const;
const IPV4_BYTES = 4;
const IPV6_BYTES = 16;
/** Address family and protocol, by the high and low half of one byte. */
const FAMILY = { Unspecified: 0, Ipv4: 1, Ipv6: 2, Unix: 3 } as const;
const MAX_FAMILY: number = FAMILY.Unix;
const MAX_PROTOCOL = 2;
const MAX_PORT = 65_535;
const MAX_PORT_DIGITS = 5;

const MORE: ProxyHeader = { kind: 'more' };

/** Parses `[from, to)`, the first bytes of a connection. */
export function parseProxyHeader(buffer: Buffer, from: number, to: number): ProxyHeader {
  if (from === to) return MORE;
  if (startsLike(SIGNATURE_2, buffer, from, to)) return parseBinary(buffer, from, to);
  if (startsLike(SIGNATURE_1, buffer, from, to)) return parseLine(buffer, from, to);
  return invalid('the connection does not start with a PROXY header');
}

/** Whether the bytes are the start of a signature or start with all of it. */
function startsLike(signature: Buffer, buffer: Buffer, from: number, to: number): boolean {
  const length = Math.min(signature.length, to - from);
  return signature.compare(buffer, from, from + length, 0, length) === 0;
}

function parseLine(buffer: Buffer, from: number, to: number): ProxyHeader {
  const text = buffer.toString('latin1', from, Math.min(to, from + MAX_LINE_BYTES));
  const end = text.indexOf('\r\n');
  if (end < 0) {
    return to - from >= MAX_LINE_BYTES ? invalid('the PROXY line has no end') : MORE;
  }
  const bytes = end + 2;
  const [, protocol = '', source = '', destination = '', sourcePort = '', destinationPort = '', ...more] = text
    .slice(0, end)
    .split(' ');
  if (protocol === 'UNKNOWN') return { kind: 'header', bytes, source: null };
  const length = { TCP4: IPV4_BYTES, TCP6: IPV6_BYTES }[protocol];
  if (length === undefined) return invalid('the PROXY line names no known protocol');
  const from4or6 = addressOf(source, length, sourcePort);
  if (from4or6 === null || addressOf(destination, length, destinationPort) === null || more.length > 0) {
    return invalid('the PROXY line has no valid addresses');
  }
  return { kind: 'header', bytes, source: from4or6 };
}

function addressOf(ip: string, length: number, port: string): ProxiedAddress | null {
  const isOfFamily = ip.includes(':') === (length === IPV6_BYTES) && !ip.includes('%');
  const bytes = isOfFamily ? parseIp(ip) : null;
  if (bytes === null || !isPort(port)) return null;
  return { ip: formatIp(bytes), port: Number(port) };
}

/** Longer texts, signs and leading zeros are not allowed here (PROXY protocol, section 2.1). */
function isPort(text: string): boolean {
  return DIGITS.holds(text, 1, MAX_PORT_DIGITS) && (text === '0' || !text.startsWith('0')) && Number(text) <= MAX_PORT;
}

function parseBinary(buffer: Buffer, from: number, to: number): ProxyHeader {
  if (to - from < FIXED_BYTES) return MORE;
  const command = buffer[from + 12]!;
  if (command !== COMMAND.Local && command !== COMMAND.Proxy) return invalid('the PROXY header has an unknown command');
  const family = buffer[from + 13]! >> 4;
  if (family > MAX_FAMILY || (buffer[from + 13]! & 0x0f) > MAX_PROTOCOL) {
    return invalid('the PROXY header has an unknown address family');
  }
  const length = buffer.readUInt16BE(from + 14);
  if (length > MAX_BODY_BYTES) return invalid(`the PROXY header has ${length} bytes`);
  const addressBytes = { [FAMILY.Ipv4]: IPV4_BYTES, [FAMILY.Ipv6]: IPV6_BYTES }[family] ?? 0;
  const known = command === COMMAND.Proxy && addressBytes > 0;
  if (known && length < 2 * (addressBytes + 2)) return invalid('the PROXY header is too short for its addresses');
  const bytes = FIXED_BYTES + length;
  if (to - from < bytes) return MORE;
  if (!known) return { kind: 'header', bytes, source: null };
  const at = from + FIXED_BYTES;
  // IPv4-mapped addresses come as IPv4, as everywhere in the relay.
  const ip = canonicalIp(formatIp(buffer.subarray(at, at + addressBytes)));
  return { kind: 'header', bytes, source: { ip, port: buffer.readUInt16BE(at + 2 * addressBytes) } };
}

function invalid(detail: string): ProxyHeader {
  return { kind: 'invalid', detail };
}

/** A version 2 header for a connection from `source` to `destination`; null: the connection is the sender's own. */
export function encodeProxyHeader(
  addresses: { readonly source: ProxiedAddress; readonly destination: ProxiedAddress } | null,
): Buffer {
  if (addresses === null) return Buffer.concat([SIGNATURE_2, Buffer.from([COMMAND.Local, 0, 0, 0])]);
  const pair = [addresses.source, addresses.destination].map(({ ip }) => parseIp(ip) ?? Buffer.alloc(IPV4_BYTES));
  const isV6 = pair.some((bytes) => bytes.length === IPV6_BYTES);
  const ips = isV6 ? pair.map(mapped) : pair;
  const body = Buffer.concat([...ips, Buffer.alloc(4)]);
  body.writeUInt16BE(addresses.source.port, body.length - 4);
  body.writeUInt16BE(addresses.destination.port, body.length - 2);
  const family = ((isV6 ? FAMILY.Ipv6 : FAMILY.Ipv4) << 4) | 1;
  return Buffer.concat([SIGNATURE_2, Buffer.from([COMMAND.Proxy, family, 0, body.length]), body]);
}

const MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex');

function mapped(ip: Buffer): Buffer {
  return ip.length === IPV6_BYTES ? ip : Buffer.concat([MAPPED_PREFIX, ip]);
}
