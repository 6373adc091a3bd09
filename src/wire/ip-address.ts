/** IP addresses as text and as bytes, without a socket API: `parseIp`, `formatIp`, `canonicalIp`, `parseHostPort`. */

const IPV4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;

/** The 4 or 16 bytes of an IP, IPv4-mapped forms unmapped; null when the text is no address. A zone (`%eth0`) is ignored. */
export function parseIp(text: string): Buffer | null {
  const zone = text.indexOf('%');
  const bare = zone < 0 ? text : text.slice(0, zone);
  return bare.includes(':') ? unmap(parseIpv6(bare)) : parseIpv4(bare);
}

function parseIpv4(text: string): Buffer | null {
  const match = IPV4.exec(text);
  if (match === null) return null;
  const bytes = Buffer.allocUnsafe(4);
  for (let i = 0; i < 4; i++) {
    const part = match[i + 1]!;
    const value = Number(part);
    if (value > 255 || (part.length > 1 && part.startsWith('0'))) return null;
    bytes[i] = value;
  }
  return bytes;
}

function parseIpv6(text: string): Buffer | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const bytes = Buffer.alloc(16);
  head.forEach((group, i) => bytes.writeUInt16BE(group, i * 2));
  tail.forEach((group, i) => bytes.writeUInt16BE(group, 16 - (tail.length - i) * 2));
  return bytes;
}

/** 16-bit groups of one side of `::`; a dotted quad may stand last where `last` says so. */
function parseGroups(text: string, last: boolean): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (part.includes('.')) {
      const quad = last && i === parts.length - 1 ? parseIpv4(part) : null;
      if (quad === null) return null;
      groups.push(quad.readUInt16BE(0), quad.readUInt16BE(2));
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(part)) return null;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

function unmap(bytes: Buffer | null): Buffer | null {
  if (bytes === null) return null;
  const mapped = bytes.readUInt32BE(0) === 0 && bytes.readUInt32BE(4) === 0 && bytes.readUInt32BE(8) === 0xffff;
  return mapped ? bytes.subarray(12) : bytes;
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

/** Canonical text of an address: zone and `::ffff:` removed. Returns the text unchanged when it is no address. */
export function canonicalIp(text: string): string {
  if (!text.includes(':')) return text;
  const bytes = parseIp(text);
  return bytes === null ? text : formatIp(bytes);
}

/** 4 or 6, or 0 when the text is no address. */
export function ipFamily(text: string): 0 | 4 | 6 {
  const bytes = parseIp(text);
  if (bytes === null) return 0;
  return bytes.length === 4 ? 4 : 6;
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
