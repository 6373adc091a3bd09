import { parseIp } from '../base/ip-address.ts';
import { canonicalPrefix } from '../base/ip-prefix.ts';

/** Both ends belong to it. 4 or 16 bytes each. */
interface Range {
  readonly from: Buffer;
  to: Buffer;
}

/**
 * The source addresses of a rule of a packet filter. A policy may name thousands, and all peers are checked at once, so
 * that a look-up is a binary search.
 */
export class AddressRanges {
  readonly #isAny: boolean;
  /** By family: sorted, without overlaps. */
  readonly #ipv4: readonly Range[];
  readonly #ipv6: readonly Range[];

  /** Entries are an address, a network, a range, or `*`. Anything else, such as `cap:…`, matches nothing. */
  constructor(entries: readonly string[]) {
    this.#isAny = entries.includes('*');
    const ranges = entries.map(parseRange).filter((range) => range !== null);
    this.#ipv4 = merged(ranges.filter(({ from }) => from.length === 4));
    this.#ipv6 = merged(ranges.filter(({ from }) => from.length !== 4));
  }

  /** Whether an address of 4 or 16 bytes is in one of the ranges. */
  has(ip: Buffer): boolean {
    if (this.#isAny) return true;
    const ranges = ip.length === 4 ? this.#ipv4 : this.#ipv6;
    // Before `low` every range starts at or before the address, from `high` on after it.
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ranges[middle]!.from.compare(ip) <= 0) low = middle + 1;
      else high = middle;
    }
    return low > 0 && ranges[low - 1]!.to.compare(ip) >= 0;
  }
}

function merged(ranges: readonly Range[]): Range[] {
  const result: Range[] = [];
  for (const { from, to } of [...ranges].sort((a, b) => a.from.compare(b.from))) {
    const last = result.at(-1);
    if (last === undefined || last.to.compare(from) < 0) result.push({ from, to });
    else if (last.to.compare(to) < 0) last.to = to;
  }
  return result;
}

function parseRange(entry: string): Range | null {
  if (entry.includes('/')) return networkRange(entry);
  const dash = entry.indexOf('-');
  const from = parseIp(dash < 0 ? entry : entry.slice(0, dash));
  const to = dash < 0 ? from : parseIp(entry.slice(dash + 1));
  if (from === null || to === null || from.length !== to.length || from.compare(to) > 0) return null;
  return { from, to };
}

/** Upstream refuses a network with host bits set. */
function networkRange(entry: string): Range | null {
  const prefix = canonicalPrefix(entry);
  if (prefix === null) return null;
  const from = parseIp(prefix.slice(0, prefix.indexOf('/')))!;
  const written = parseIp(entry.slice(0, entry.indexOf('/')));
  if (written === null || !written.equals(from)) return null;
  const bits = Number(prefix.slice(prefix.indexOf('/') + 1));
  const to = Buffer.from(from);
  for (let bit = bits; bit < to.length * 8; bit++) to[bit >> 3]! |= 0x80 >> (bit & 7);
  return { from, to };
}
