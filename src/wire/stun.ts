/**
 * STUN binding, both sides (protocol reference §6): the request of Tailscale clients, the answer of the relay, and how
 * a client reads it. All functions work on `[from, to)` of a buffer and copy nothing.
 */
import { crc32 } from 'node:zlib';
import { canonicalIp, formatIp } from '../base/ip-address.ts';

/** The id that ties an answer to its request. */
export const STUN_TRANSACTION_ID_BYTES = 12;
/** The longest answer: header and an IPv6 XOR-MAPPED-ADDRESS. */
export const MAX_STUN_RESPONSE_BYTES = 44;

const HEADER_BYTES = 20;
const ATTRIBUTE_HEADER_BYTES = 4;
const TRANSACTION_ID_OFFSET = 8;
/** Offset of the address in an answer: after the header of the attribute, the family and the port. */
const ADDRESS_OFFSET = HEADER_BYTES + 8;
const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const MAGIC_COOKIE = 0x2112a442;
const PORT_MASK = 0x2112;
const FINGERPRINT_MASK = 0x5354554e;
const FINGERPRINT_BYTES = 8;
const FAMILY_IPV4 = 1;
const FAMILY_IPV6 = 2;
const SOFTWARE = Buffer.from('tailnode', 'latin1');
/** Attribute types from here on may be ignored when they are unknown (RFC 8489 §14). */
const COMPREHENSION_OPTIONAL = 0x8000;

const Attribute = {
  MappedAddress: 0x0001,
  XorMappedAddress: 0x0020,
  /** Sent by some servers before the number was assigned. */
  XorMappedAddressOld: 0x8020,
  Software: 0x8022,
  Fingerprint: 0x8028,
} as const;

/** The address that the server saw a request come from. */
export interface StunAnswer {
  readonly transactionId: Buffer;
  /** Canonical text, IPv4-mapped forms unmapped. */
  readonly ip: string;
  readonly port: number;
}

/** True when `[from, to)` is a STUN message: 20 bytes, two zero bits on top, and the magic cookie. */
export function isStun(buffer: Buffer, from: number, to: number): boolean {
  return to - from >= HEADER_BYTES && (buffer[from]! & 0xc0) === 0 && buffer.readUInt32BE(from + 4) === MAGIC_COOKIE;
}

/** True when `[from, to)` is a binding request of a Tailscale client, checked as strictly as the reference does (§6.2). */
export function isTailnodeRequest(buffer: Buffer, from: number, to: number): boolean {
  if (!isStun(buffer, from, to) || buffer.readUInt16BE(from) !== BINDING_REQUEST) return false;
  let software = false;
  let last = -1;
  let lastLength = 0;
  for (let at = from + HEADER_BYTES; at < to; at = attributeEnd(at, lastLength)) {
    if (to - at < ATTRIBUTE_HEADER_BYTES) return false;
    last = buffer.readUInt16BE(at);
    lastLength = buffer.readUInt16BE(at + 2);
    if (attributeEnd(at, lastLength) > to) return false;
    if (last === Attribute.Software) software ||= isSoftware(buffer, at, lastLength);
  }
  return software && last === Attribute.Fingerprint && lastLength === 4 && fingerprintFits(buffer, from, to);
}

/**
 * True when `[from, to)` is a binding request of RFC 5389 or 8489 that can be answered without knowing any of its
 * attributes: a FINGERPRINT must be right, and an attribute that has to be understood makes it unanswerable. Requests
 * of RFC 3489 have no cookie and are not answered.
 */
export function isBindingRequest(buffer: Buffer, from: number, to: number): boolean {
  if (!isStun(buffer, from, to) || buffer.readUInt16BE(from) !== BINDING_REQUEST) return false;
  if (buffer.readUInt16BE(from + 2) !== to - from - HEADER_BYTES) return false;
  let next = 0;
  for (let at = from + HEADER_BYTES; at < to; at = next) {
    if (to - at < ATTRIBUTE_HEADER_BYTES) return false;
    const type = buffer.readUInt16BE(at);
    const length = buffer.readUInt16BE(at + 2);
    next = attributeEnd(at, length);
    if (next > to || type < COMPREHENSION_OPTIONAL) return false;
    if (type === Attribute.Fingerprint) return length === 4 && next === to && fingerprintFits(buffer, from, to);
  }
  return true;
}

/**
 * Writes the answer to the request at `requestFrom` of `request` to the start of `out`, which has room for {@link
 * MAX_STUN_RESPONSE_BYTES}. The client has the address in the first `addressBytes` bytes of `address`, 4 or 16: an IPv4
 * address as IPv4, never in mapped form (§6.3, §11.6). Returns the length of the answer.
 */
export function writeBindingResponse(
  out: Buffer,
  request: Buffer,
  requestFrom: number,
  address: Uint8Array,
  addressBytes: number,
  port: number,
): number {
  for (let i = 0; i < addressBytes; i++) out[ADDRESS_OFFSET + i] = address[i]!;
  return completeResponse(out, request, requestFrom, addressBytes, port);
}

/** Writes an answer except the address, which the caller has already written. */
function completeResponse(
  out: Buffer,
  request: Buffer,
  requestFrom: number,
  addressBytes: number,
  port: number,
): number {
  const valueBytes = 4 + addressBytes;
  out.writeUInt16BE(BINDING_SUCCESS, 0);
  out.writeUInt16BE(ATTRIBUTE_HEADER_BYTES + valueBytes, 2);
  out.writeUInt32BE(MAGIC_COOKIE, 4);
  const idFrom = requestFrom + TRANSACTION_ID_OFFSET;
  request.copy(out, TRANSACTION_ID_OFFSET, idFrom, idFrom + STUN_TRANSACTION_ID_BYTES);
  out.writeUInt16BE(Attribute.XorMappedAddress, HEADER_BYTES);
  out.writeUInt16BE(valueBytes, HEADER_BYTES + 2);
  out.writeUInt16BE(addressBytes === 4 ? FAMILY_IPV4 : FAMILY_IPV6, HEADER_BYTES + 4);
  out.writeUInt16BE(port ^ PORT_MASK, HEADER_BYTES + 6);
  xorWithCookieAndId(out, ADDRESS_OFFSET, addressBytes, out, 0);
  return HEADER_BYTES + ATTRIBUTE_HEADER_BYTES + valueBytes;
}

/** The request that a Tailscale client sends, always 40 bytes, SOFTWARE first (§6.1). */
export function encodeBindingRequest(transactionId: Uint8Array): Buffer {
  const request = Buffer.alloc(40);
  request.writeUInt16BE(BINDING_REQUEST, 0);
  request.writeUInt16BE(request.length - HEADER_BYTES, 2);
  request.writeUInt32BE(MAGIC_COOKIE, 4);
  request.set(transactionId.subarray(0, STUN_TRANSACTION_ID_BYTES), TRANSACTION_ID_OFFSET);
  request.writeUInt16BE(Attribute.Software, HEADER_BYTES);
  request.writeUInt16BE(SOFTWARE.length, HEADER_BYTES + 2);
  SOFTWARE.copy(request, HEADER_BYTES + ATTRIBUTE_HEADER_BYTES);
  const fingerprintAt = request.length - FINGERPRINT_BYTES;
  request.writeUInt16BE(Attribute.Fingerprint, fingerprintAt);
  request.writeUInt16BE(4, fingerprintAt + 2);
  request.writeUInt32BE(fingerprint(request, 0, fingerprintAt), fingerprintAt + 4);
  return request;
}

/**
 * Reads a binding success response (§6.4); null when it is something else, is malformed or has no address. The caller
 * compares the transaction id with those it waits for.
 */
export function parseBindingResponse(buffer: Buffer, from: number, to: number): StunAnswer | null {
  if (!isStun(buffer, from, to) || buffer.readUInt16BE(from) !== BINDING_SUCCESS) return null;
  const end = from + HEADER_BYTES + buffer.readUInt16BE(from + 2);
  if (end > to) return null;
  let xored: MappedAddress | null = null;
  let plain: MappedAddress | null = null;
  let next = 0;
  for (let at = from + HEADER_BYTES; at < end; at = next) {
    if (end - at < ATTRIBUTE_HEADER_BYTES) return null;
    const type = buffer.readUInt16BE(at);
    const length = buffer.readUInt16BE(at + 2);
    next = attributeEnd(at, length);
    if (next > end) return null;
    if (type === Attribute.XorMappedAddress || type === Attribute.XorMappedAddressOld) {
      xored = readAddress(buffer, at, length, from);
      if (xored === null) return null;
    } else if (type === Attribute.MappedAddress) {
      plain = readAddress(buffer, at, length, null);
      if (plain === null) return null;
    }
  }
  const seen = xored ?? plain;
  if (seen === null) return null;
  const idFrom = from + TRANSACTION_ID_OFFSET;
  return { transactionId: Buffer.from(buffer.subarray(idFrom, idFrom + STUN_TRANSACTION_ID_BYTES)), ...seen };
}

interface MappedAddress {
  readonly ip: string;
  readonly port: number;
}

/** The address attribute at `at`; `message` is where the message starts when the value is XORed with its cookie and id. */
function readAddress(buffer: Buffer, at: number, length: number, message: number | null): MappedAddress | null {
  if (length < 4) return null;
  const value = at + ATTRIBUTE_HEADER_BYTES;
  const family = buffer[value + 1];
  const addressBytes = family === FAMILY_IPV4 ? 4 : family === FAMILY_IPV6 ? 16 : 0;
  if (addressBytes === 0 || length - 4 < addressBytes) return null;
  const address = Buffer.from(buffer.subarray(value + 4, value + 4 + addressBytes));
  const port = buffer.readUInt16BE(value + 2);
  if (message === null) return { ip: canonicalIp(formatIp(address)), port };
  xorWithCookieAndId(address, 0, addressBytes, buffer, message);
  return { ip: canonicalIp(formatIp(address)), port: port ^ PORT_MASK };
}

/** The first byte after an attribute and its padding. */
function attributeEnd(at: number, length: number): number {
  return at + ATTRIBUTE_HEADER_BYTES + ((length + 3) & ~3);
}

function isSoftware(buffer: Buffer, at: number, length: number): boolean {
  const value = at + ATTRIBUTE_HEADER_BYTES;
  return length === SOFTWARE.length && SOFTWARE.compare(buffer, value, value + length) === 0;
}

function fingerprintFits(buffer: Buffer, from: number, to: number): boolean {
  return fingerprint(buffer, from, to - FINGERPRINT_BYTES) === buffer.readUInt32BE(to - 4);
}

function fingerprint(buffer: Buffer, from: number, to: number): number {
  return (crc32(buffer.subarray(from, to)) ^ FINGERPRINT_MASK) >>> 0;
}

/** The mask of an address is the cookie and the transaction id, which stand side by side in every message. */
function xorWithCookieAndId(target: Buffer, at: number, length: number, message: Buffer, messageFrom: number): void {
  for (let i = 0; i < length; i++) target[at + i]! ^= message[messageFrom + 4 + i]!;
}
