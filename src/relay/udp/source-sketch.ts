import { randomBytes } from 'node:crypto';
import { MAX_IP_BYTES, writeIp } from '../../base/ip-address.ts';

/** Counters per row. Two rows of 16 Ki four-byte counters cost 128 KiB whatever the number of sources. */
const ROW_CELLS = 16_384;
const IPV4_BYTES = 4;
/** The /64 and the /48 of an IPv6 address: one link, and one site. */
const LINK_BYTES = 8;
const SITE_BYTES = 6;

/** The rate limit of a source. */
export interface SketchRule {
  readonly perSecond: number;
  /** Requests that may come at once. */
  readonly burst: number;
  /** Factor by which the limits of a site (IPv6 /48) are larger than those of a source. */
  readonly siteFactor: number;
}

const scratch = new Uint8Array(MAX_IP_BYTES);

/**
 * A rate limit per source (IPv4 address, IPv6 /64, and IPv6 /48 with a larger one) in fixed memory and without
 * allocation, for datagrams whose source addresses anyone can forge.
 */
export class SourceSketch {
  readonly #sources: Cells;
  readonly #sites: Cells;

  constructor({ perSecond, burst, siteFactor }: SketchRule) {
    this.#sources = new Cells(perSecond, burst);
    this.#sites = new Cells(perSecond * siteFactor, burst * siteFactor);
  }

  /** Counts one request of `ip`. Returns false when its source has reached its limit, or when it is not an address. */
  take(ip: string): boolean {
    const length = writeIp(scratch, 0, ip);
    return length > 0 && this.takeBytes(scratch, length);
  }

  /** Counts one request of the 4 or 16 bytes of an address at the start of `address`. Returns false at the limit. */
  takeBytes(address: Uint8Array, length: number): boolean {
    if (length === IPV4_BYTES) return this.#sources.take(address, IPV4_BYTES);
    return this.#sources.take(address, LINK_BYTES) && this.#sites.take(address, SITE_BYTES);
  }

  /**
   * Drains the buckets by the time that has passed. Call it at every tick of the clock, with its time in milliseconds.
   */
  drain(now: number): void {
    this.#sources.drain(now);
    this.#sites.drain(now);
  }
}

/**
 * A count-min sketch of leaky buckets. A prefix is refused when both of its counters are full, so strangers that share
 * one counter do not hurt each other. Which counters a prefix has is secret (tabulation hashing with random tables), so
 * an attacker cannot target the counters of another source.
 */
class Cells {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #cells: Uint32Array = new Uint32Array(2 * ROW_CELLS);
  readonly #tables: Uint32Array;
  #dirty = false;
  #drained = 0;

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = Math.max(Math.ceil(burst), 1);
    const random = randomBytes(LINK_BYTES * 256 * Uint32Array.BYTES_PER_ELEMENT);
    this.#tables = Uint32Array.from({ length: LINK_BYTES * 256 }, (_, i) => random.readUInt32LE(i * 4));
  }

  take(bytes: Uint8Array, length: number): boolean {
    const hash = this.#hash(bytes, length);
    const first = hash & (ROW_CELLS - 1);
    const second = ROW_CELLS + ((hash >>> 16) & (ROW_CELLS - 1));
    const used = Math.min(this.#cells[first]!, this.#cells[second]!);
    if (used >= this.#burst) return false;
    // Only the smaller counter grows: the larger one already counts another source.
    if (this.#cells[first] === used) this.#cells[first] = used + 1;
    if (this.#cells[second] === used) this.#cells[second] = used + 1;
    this.#dirty = true;
    return true;
  }

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

  #hash(bytes: Uint8Array, length: number): number {
    let hash = 0;
    for (let i = 0; i < length; i++) hash ^= this.#tables[i * 256 + bytes[i]!]!;
    return hash >>> 0;
  }
}
