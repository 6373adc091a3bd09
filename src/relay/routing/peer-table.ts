import { randomBytes } from 'node:crypto';
import { KEY_BYTES } from '../../wire/frames.ts';
import { KEY_WORDS, type Peer } from './peer.ts';

const INITIAL_SLOTS = 256;

/**
 * Node key → peer, looked up by the key as it lies in a frame. Open addressing over flat key words, because a table of
 * objects misses the cache. The hash mixes 8 key bytes with a secret seed: keys are chosen by
 * strangers.
 */
export class PeerTable {
  #slots = INITIAL_SLOTS;
  #words = new Int32Array(INITIAL_SLOTS * KEY_WORDS);
  #peers: (Peer | null)[] = new Array<Peer | null>(INITIAL_SLOTS).fill(null);
  #size = 0;
  readonly #seed: number;
  /** The buffer that was looked at last, which mostly is the one read window of the transport, and a view of it. */
  #viewed: Buffer | null = null;
  #view: DataView = new DataView(new ArrayBuffer(0));
  readonly #key: Buffer = Buffer.alloc(KEY_BYTES);
  readonly #keyView: DataView = new DataView(this.#key.buffer, this.#key.byteOffset, KEY_BYTES);

  /** `seed` is random unless a test wants collisions. */
  constructor(seed: number = randomBytes(4).readInt32LE(0)) {
    this.#seed = seed;
  }

  get size(): number {
    return this.#size;
  }

  /** The peer whose key is the 32 bytes at `offset`, or null. */
  find(buffer: Buffer, offset: number): Peer | null {
    return this.#peers[this.#locate(this.#viewOf(buffer), offset)] ?? null;
  }

  /** The peer of this key, or null. */
  named(key: Buffer): Peer | null {
    return this.#peers[this.#slotOf(key)] ?? null;
  }

  /** Adds a peer whose key is not in the table yet. */
  add(peer: Peer): void {
    if (this.#size * 2 >= this.#slots) this.#grow();
    const slot = this.#slotOf(peer.key);
    if (this.#peers[slot] === null) this.#size++;
    this.#peers[slot] = peer;
    const base = slot * KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i++) this.#words[base + i] = this.#keyView.getInt32(i * 4, true);
  }

  /** Removes the peer; later entries of its probe run move up, so there are no tombstones. */
  remove(peer: Peer): void {
    let hole = this.#slotOf(peer.key);
    if (this.#peers[hole] !== peer) return;
    const mask = this.#slots - 1;
    this.#size--;
    for (let at = (hole + 1) & mask; this.#peers[at] !== null; at = (at + 1) & mask) {
      const home = this.#hash(this.#words[at * KEY_WORDS]!, this.#words[at * KEY_WORDS + 1]!);
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

  /** A view of `buffer`: reading words through it costs a fraction of Buffer's own methods. */
  #viewOf(buffer: Buffer): DataView {
    if (buffer !== this.#viewed) {
      this.#viewed = buffer;
      this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    }
    return this.#view;
  }

  #hash(first: number, second: number): number {
    let mixed = Math.imul(first ^ this.#seed, 0x9e3779b1);
    mixed = Math.imul((mixed ^ (mixed >>> 15)) + second, 0x85ebca6b) ^ this.#seed;
    return (mixed ^ (mixed >>> 13)) & (this.#slots - 1);
  }

  /** A view of a small buffer makes it three times as heavy for as long as it lives, so a lone key is copied. */
  #slotOf(key: Buffer): number {
    key.copy(this.#key);
    return this.#locate(this.#keyView, 0);
  }

  /** The slot that holds the key at `offset`, or the empty one where it would go. */
  #locate(view: DataView, offset: number): number {
    const first = view.getInt32(offset, true);
    const words = this.#words;
    const mask = this.#slots - 1;
    const second = view.getInt32(offset + 4, true);
    let slot = this.#hash(first, second);
    for (; this.#peers[slot] !== null; slot = (slot + 1) & mask) {
      const base = slot * KEY_WORDS;
      if (
        words[base] === first &&
        words[base + 1] === second &&
        words[base + 2] === view.getInt32(offset + 8, true) &&
        words[base + 3] === view.getInt32(offset + 12, true) &&
        words[base + 4] === view.getInt32(offset + 16, true) &&
        words[base + 5] === view.getInt32(offset + 20, true) &&
        words[base + 6] === view.getInt32(offset + 24, true) &&
        words[base + 7] === view.getInt32(offset + 28, true)
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
      let at = this.#hash(words[base]!, words[base + 1]!);
      while (this.#peers[at] !== null) at = (at + 1) & mask;
      this.#peers[at] = peer;
      for (let i = 0; i < KEY_WORDS; i++) this.#words[at * KEY_WORDS + i] = words[base + i]!;
    }
  }
}
