import { randomBytes } from 'node:crypto';
import { parseIp } from '../wire/ip-address.ts';

/** Counters per row. Two rows of 16 Ki two-byte counters cost 64 KiB whatever the number of sources. */
const ROW_CELLS = 16_384;
/** An IPv4 address, or the /64 of an IPv6 address. */
const PREFIX_BYTES = { ipv4: 4, ipv6: 8 } as const;
/** What a two-byte counter can hold. */
const MAX_BURST = 65_535;
/**
 * A rate limit per source prefix (IPv4 /32, IPv6 /64) in fixed memory: a count-min sketch of leaky buckets. A source
 * is refused when both of its counters are full, so strangers that share one counter do not hurt each other. Which
 * counters a source has is secret (tabulation hashing with random tables), so nobody can aim at another one's.
 */
export class SourceSketch {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #cells: Uint16Array = new Uint16Array(2 * ROW_CELLS);
  readonly #tables: Uint32Array;
  #dirty = false;
  #drained = 0;

  /** Lets each source prefix make `perSecond` requests per second, as many of them at once as it likes. */
  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#burst = Math.min(Math.max(Math.ceil(perSecond), 1), MAX_BURST);
    const random = randomBytes(PREFIX_BYTES.ipv6 * 256 * Uint32Array.BYTES_PER_ELEMENT);
    this.#tables = Uint32Array.from({ length: PREFIX_BYTES.ipv6 * 256 }, (_, i) => random.readUInt32LE(i * 4));
  }

  /** Counts one request of `ip`; false when its prefix has used up what it may do now. */
  take(ip: string): boolean {
    const bytes = parseIp(ip);
    if (bytes === null) return false;
    const hash = this.#hash(bytes);
    const first = hash & (ROW_CELLS - 1);
    const second = ROW_CELLS + ((hash >>> 16) & (ROW_CELLS - 1));
    const used = Math.min(this.#cells[first]!, this.#cells[second]!);
    if (used >= this.#burst) return false;
    // Only the smaller counters grow: the larger one already counts somebody else.
    if (this.#cells[first] === used) this.#cells[first] = used + 1;
    if (this.#cells[second] === used) this.#cells[second] = used + 1;
    this.#dirty = true;
    return true;
  }

  /** Lets time pass: to be called at every tick of the clock, with its time in milliseconds. */
  drain(now: number): void {
    if (!this.#dirty) {
      this.#drained = now;
      return;
    }
    const drained = Math.floor(((now - this.#drained) * this.#perSecond) / 1000);
    // Going through all cells costs some 20 µs, so it happens about once a second and not at every tick.
    if (drained < 1 || now - this.#drained < 1000) return;
    this.#drained += (drained * 1000) / this.#perSecond;
    let left = 0;
    for (let i = 0; i < this.#cells.length; i++) {
      const used = this.#cells[i]!;
      if (used === 0) continue;
      const rest = Math.max(used - drained, 0);
      this.#cells[i] = rest;
      left |= rest;
    }
    this.#dirty = left !== 0;
  }

  #hash(bytes: Buffer): number {
    const length = bytes.length === PREFIX_BYTES.ipv4 ? PREFIX_BYTES.ipv4 : PREFIX_BYTES.ipv6;
    let hash = 0;
    for (let i = 0; i < length; i++) hash ^= this.#tables[i * 256 + bytes[i]!]!;
    return hash >>> 0;
  }
}
