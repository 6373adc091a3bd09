/** IP addresses as text and as bytes, without a socket API: `writeIp`, `parseIp`, `formatIp`, `canonicalIp`, … */

/** The longest address. */
export const MAX_IP_BYTES = 16;
const IPV4_BYTES = 4;
const GROUP_BYTES = 2;
const MAX_GROUP_DIGITS = 4;

const DOT = 0x2e;
const COLON = 0x3a;
const DIGIT_ZERO = 0x30;
const LETTER_A = 0x61;
const LOWER_CASE = 0x20;

const scratch = Buffer.alloc(MAX_IP_BYTES);

/**
 * Returns the 4 or 16 bytes of an IP, with IPv4-mapped forms as IPv4; null when the text is not an address. A zone
 * (`%eth0`) is ignored.
 */
export function parseIp(text: string): Buffer | null {
  const length = writeIp(scratch, 0, text);
  return length === 0 ? null : Buffer.from(scratch.subarray(0, length));
}

/**
 * Writes what {@link parseIp} returns to `out`, which has room for {@link MAX_IP_BYTES} at `at`. It does not allocate,
 * because it is called for each datagram. Returns the number of bytes, or 0 when the text is not an address.
 */
export function writeIp(out: Uint8Array, at: number, text: string): number {
  const zone = text.indexOf('%');
  const end = zone < 0 ? text.length : zone;
  const colon = text.indexOf(':');
  if (colon < 0 || colon > end) return writeIpv4(out, at, text, 0, end) ? IPV4_BYTES : 0;
  if (!writeIpv6(out, at, text, end)) return 0;
  if (!isMapped(out, at)) return MAX_IP_BYTES;
  out.copyWithin(at, at + MAX_IP_BYTES - IPV4_BYTES, at + MAX_IP_BYTES);
  return IPV4_BYTES;
}

function writeIpv4(out: Uint8Array, at: number, text: string, from: number, end: number): boolean {
  let parts = 0;
  let value = -1;
  for (let i = from; i <= end; i++) {
    const code = i === end ? DOT : text.charCodeAt(i);
    if (code >= DIGIT_ZERO && code < DIGIT_ZERO + 10) {
      // Some programs read a leading zero as octal.
      if (value === 0) return false;
      value = (value < 0 ? 0 : value * 10) + code - DIGIT_ZERO;
      if (value > 255) return false;
    } else {
      if (code !== DOT || value < 0 || parts === IPV4_BYTES) return false;
      out[at + parts++] = value;
      value = -1;
    }
  }
  return parts === IPV4_BYTES;
}

function writeIpv6(out: Uint8Array, at: number, text: string, end: number): boolean {
  let written = 0;
  /** Number of bytes before `::`, or -1. */
  let gap = -1;
  let i = 0;
  while (i < end) {
    if (text.charCodeAt(i) === COLON) {
      if (gap >= 0 || text.charCodeAt(i + 1) !== COLON) return false;
      gap = written;
      i += 2;
      continue;
    }
    const after = groupEnd(text, i, end);
    if (text.charCodeAt(after) === DOT) {
      if (written > MAX_IP_BYTES - IPV4_BYTES || !writeIpv4(out, at + written, text, i, end)) return false;
      written += IPV4_BYTES;
      break;
    }
    if (after === i || written === MAX_IP_BYTES) return false;
    writeGroup(out, at + written, text, i, after);
    written += GROUP_BYTES;
    if (after === end) break;
    if (text.charCodeAt(after) !== COLON || after + 1 === end) return false;
    i = text.charCodeAt(after + 1) === COLON ? after : after + 1;
  }
  return fillGap(out, at, written, gap);
}

/** Returns the index after the hexadecimal digits at `from`, at most four. */
function groupEnd(text: string, from: number, end: number): number {
  let i = from;
  while (i < end && i < from + MAX_GROUP_DIGITS && hexValue(text.charCodeAt(i)) >= 0) i++;
  return i;
}

function writeGroup(out: Uint8Array, at: number, text: string, from: number, end: number): void {
  let value = 0;
  for (let i = from; i < end; i++) value = value * 16 + hexValue(text.charCodeAt(i));
  out[at] = value >> 8;
  out[at + 1] = value & 0xff;
}

function hexValue(code: number): number {
  if (code >= DIGIT_ZERO && code < DIGIT_ZERO + 10) return code - DIGIT_ZERO;
  const letter = (code | LOWER_CASE) - LETTER_A;
  return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

/** Replaces `::` by zeros: at least one group. */
function fillGap(out: Uint8Array, at: number, written: number, gap: number): boolean {
  if (gap < 0) return written === MAX_IP_BYTES;
  const missing = MAX_IP_BYTES - written;
  if (missing < GROUP_BYTES) return false;
  out.copyWithin(at + gap + missing, at + gap, at + written);
  out.fill(0, at + gap, at + gap + missing);
  return true;
}

function isMapped(out: Uint8Array, at: number): boolean {
  for (let i = 0; i < 10; i++) if (out[at + i] !== 0) return false;
  return out[at + 10] === 0xff && out[at + 11] === 0xff;
}

/** Canonical text (RFC 5952) of 4 or 16 bytes. */
export function formatIp(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(bytes.readUInt16BE(i));
  const { start, length } = longestZeroRun(groups);
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  return length < 2 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let i = 0; i < groups.length;) {
    let end = i;
    while (end < groups.length && groups[end] === 0) end++;
    if (end - i > best.length) best = { start: i, length: end - i };
    i = Math.max(end, i + 1);
  }
  return best;
}

/**
 * Returns the canonical text of an address, without zone and `::ffff:`. Returns the text unchanged when it is not an
 * address.
 */
export function canonicalIp(text: string): string {
  if (!text.includes(':')) return text;
  const bytes = parseIp(text);
  return bytes === null ? text : formatIp(bytes);
}

/** Returns 4 or 6, or 0 when the text is not an address. */
export function ipFamily(text: string): 0 | 4 | 6 {
  const bytes = parseIp(text);
  if (bytes === null) return 0;
  return bytes.length === 4 ? 4 : 6;
}

/** Whether an address means this machine: 127.0.0.0/8 and ::1. */
export function isLoopback(ip: string): boolean {
  const bytes = parseIp(ip);
  if (bytes === null) return false;
  return bytes.length === IPV4_BYTES ? bytes[0] === 127 : formatIp(bytes) === '::1';
}

/**
 * Parses `host:port`, `[v6]:port`, `:port` (every address) or a bare port. The host must be an IP; `*` and the empty
 * host mean `::`. Null when it is none of these.
 */
export function parseListenAddress(text: string): { ip: string; port: number } | null {
  const match = /^(?:(?:\[([^\]]+)\]|([^:[\]]*)):)?(\d{1,5})$/.exec(text.trim());
  if (match === null) return null;
  const port = Number(match[3]);
  const host = match[1] ?? match[2] ?? '';
  if (port > 65_535) return null;
  if (host === '' || host === '*') return { ip: '::', port };
  return ipFamily(host) === 0 ? null : { ip: canonicalIp(host), port };
}

/** `ip:port` with brackets around IPv6. */
export function formatHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
