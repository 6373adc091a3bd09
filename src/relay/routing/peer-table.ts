import { KEY_WORDS, KeyTable } from './key-words.ts';
import type { Peer } from './peer.ts';

const INITIAL_SLOTS = 256;

/**
 * Node key → peer, looked up by the key as it lies in a frame. Open addressing over flat key words, because a table of
 * objects misses the cache.
 */
export class PeerTable extends KeyTable {
  #slots = INITIAL_SLOTS;
  #words = new Int32Array(INITIAL_SLOTS * KEY_WORDS);
  #peers: (Peer | null)[] = new Array<Peer | null>(INITIAL_SLOTS).fill(null);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The peer whose key is the 32 bytes at `offset`, or null. */
  find(buffer: Buffer, offset: number): Peer | null {
    return this.#peers[this.#locate(this.viewOf(buffer), offset)] ?? null;
  }

  /** The peer of this key, or null. */
  named(key: Buffer): Peer | null {
    return this.#peers[this.#locate(this.viewOfKey(key), 0)] ?? null;
  }

  /** Adds a peer whose key is not in the table yet. */
  add(peer: Peer): void {
    if (this.#size * 2 >= this.#slots) this.#grow();
    const view = this.viewOfKey(peer.key);
    const slot = this.#locate(view, 0);
    if (this.#peers[slot] === null) this.#size++;
    this.#peers[slot] = peer;
    const base = slot * KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i++) this.#words[base + i] = view.getInt32(i * 4, true);
  }

  /** Removes the peer; later entries of its probe run move up, so there are no tombstones. */
  remove(peer: Peer): void {
    let hole = this.#locate(this.viewOfKey(peer.key), 0);
    if (this.#peers[hole] !== peer) return;
    const mask = this.#slots - 1;
    this.#size--;
    for (let at = (hole + 1) & mask; this.#peers[at] !== null; at = (at + 1) & mask) {
      const home = this.hashOf(this.#words, at * KEY_WORDS) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      this.#peers[hole] = this.#peers[at]!;
      this.#words.copyWithin(hole * KEY_WORDS, at * KEY_WORDS, (at + 1) * KEY_WORDS);
      hole = at;
    }
    this.#peers[hole] = null;
  }

  /** Every peer that is there now. */
  all(): Peer[] {
    const all: Peer[] = [];
    for (let slot = 0; slot < this.#slots; slot++) {
      const peer = this.#peers[slot] ?? null;
      if (peer !== null) all.push(peer);
    }
    return all;
  }

  /** Every peer; the table must not change meanwhile. */
  *[Symbol.iterator](): IterableIterator<Peer> {
    for (const peer of this.#peers) if (peer !== null) yield peer;
  }

  /** The slot that holds the key at `offset`, or the empty one where it would go. */
  #locate(view: DataView, offset: number): number {
    const words = this.#words;
    const mask = this.#slots - 1;
    const a = view.getInt32(offset, true);
    const b = view.getInt32(offset + 4, true);
    const c = view.getInt32(offset + 8, true);
    const d = view.getInt32(offset + 12, true);
    const e = view.getInt32(offset + 16, true);
    const f = view.getInt32(offset + 20, true);
    const g = view.getInt32(offset + 24, true);
    const h = view.getInt32(offset + 28, true);
    let slot = this.hash(a, b, c, d, e, f, g, h) & mask;
    for (; this.#peers[slot] !== null; slot = (slot + 1) & mask) {
      const base = slot * KEY_WORDS;
      if (
        words[base] === a &&
        words[base + 1] === b &&
        words[base + 2] === c &&
        words[base + 3] === d &&
        words[base + 4] === e &&
        words[base + 5] === f &&
        words[base + 6] === g &&
        words[base + 7] === h
      ) {
        break;
      }
    }
    return slot;
  }

  #grow(): void {
    const peers = this.#peers;
    const words = this.#words;
    this.#slots *= 2;
    this.#words = new Int32Array(this.#slots * KEY_WORDS);
    this.#peers = new Array<Peer | null>(this.#slots).fill(null);
    const mask = this.#slots - 1;
    for (let slot = 0; slot < peers.length; slot++) {
      const peer = peers[slot] ?? null;
      if (peer === null) continue;
      const base = slot * KEY_WORDS;
      let at = this.hashOf(words, base) & mask;
      while (this.#peers[at] !== null) at = (at + 1) & mask;
      this.#peers[at] = peer;
      for (let i = 0; i < KEY_WORDS; i++) this.#words[at * KEY_WORDS + i] = words[base + i]!;
    }
  }
}
