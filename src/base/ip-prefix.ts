/** Networks such as `10.0.0.0/8` as text and as sets, and the prefix that stands for one source of connections. */
import { formatIp, MAX_IP_BYTES, parseIp, writeIp } from './ip-address.ts';

/** A network: the address with its host bits cleared, and how many leading bits count. */
interface Prefix {
  readonly bytes: Buffer;
  readonly bits: number;
}

/** `ip/bits`, or an address alone, as canonical text with the host bits cleared; null when it is neither. */
export function canonicalPrefix(text: string): string | null {
  const prefix = parsePrefix(text);
  return prefix === null ? null : `${formatIp(prefix.bytes)}/${prefix.bits}`;
}

function parsePrefix(text: string): Prefix | null {
  const match = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text);
  const ip = match === null ? null : parseIp(match[1]!);
  if (ip === null) return null;
  const isMapped = ip.length === 4 && match![1]!.includes(':');
  const written = match![2] === undefined ? null : Number(match![2]);
  // The length of a mapped network counts from the start of the 16 bytes.
  const bits = written === null ? ip.length * 8 : isMapped ? written - 96 : written;
  if (bits < 0 || bits > ip.length * 8) return null;
  const bytes = Buffer.from(ip);
  for (let bit = bits; bit < bytes.length * 8; bit++) bytes[bit >> 3]! &= ~(0x80 >> (bit & 7));
  return { bytes, bits };
}

const scratch = Buffer.alloc(MAX_IP_BYTES);

/** A set of networks. */
export class PrefixSet {
  readonly #prefixes: readonly Prefix[];

  /** Takes results of {@link canonicalPrefix}. Text that is not a network is ignored. */
  constructor(prefixes: readonly string[]) {
    this.#prefixes = prefixes.map(parsePrefix).filter((prefix) => prefix !== null);
  }

  /** Whether an address is in one of the networks. */
  has(ip: string): boolean {
    const length = writeIp(scratch, 0, ip);
    for (const prefix of this.#prefixes) if (contains(prefix, scratch, length)) return true;
    return false;
  }
}

function contains(prefix: Prefix, ip: Buffer, length: number): boolean {
  if (prefix.bytes.length !== length) return false;
  const whole = prefix.bits >> 3;
  if (prefix.bytes.compare(ip, 0, whole, 0, whole) !== 0) return false;
  const rest = prefix.bits & 7;
  return rest === 0 || ((prefix.bytes[whole]! ^ ip[whole]!) & (0xff00 >> rest) & 0xff) === 0;
}

/** Hex digits of the networks of an IPv6 address: /48 is one site, /56 one home, /64 one link. */
const SITE_DIGITS = 12;
const HOME_DIGITS = 14;
const LINK_DIGITS = 16;

/**
 * Returns the names under which the connections of an address are counted, from the largest network to the smallest. An
 * IPv4 address has one name; an IPv6 address has those of its /48, /56 and /64. Text that is not an address counts as
 * one source.
 */
export function sourcePath(ip: string): readonly string[] {
  if (!ip.includes(':')) return [ip];
  const bytes = parseIp(ip);
  if (bytes === null) return [''];
  if (bytes.length === 4) return [formatIp(bytes)];
  const hex = bytes.toString('hex', 0, LINK_DIGITS / 2);
  return [`${hex.slice(0, SITE_DIGITS)}/48`, `${hex.slice(0, HOME_DIGITS)}/56`, `${hex}/64`];
}
