import { KEY_BYTES } from '../../wire/frames.ts';
import { KEY_WORDS, KeyTable } from './key-words.ts';
import type { Forwarder } from './recipient.ts';

const INITIAL_SLOTS = 64;
/** The index grows when more than this part of its slots is taken. */
const MOST_TAKEN = 3 / 4;
/** Keys of one page, as a power of two: 32 KiB. */
const PAGE_BITS = 10;
const PAGE_KEYS = 1 << PAGE_BITS;
/** Ways at one time: their number has to fit into 15 bits. */
const MOST_WAYS = 32_767;
/** In the owner of an entry: the key was reported on an earlier connection of the forwarder. */
const OLD = 1;

/** What {@link RemoteKeys.add} has changed. */
export const Added = {
  /** No forwarder led to the key before. */
  First: 0,
  /** Another forwarder did. */
  Another: 1,
  /** It was old, and is not any more. */
  Renewed: 2,
  Nothing: 3,
} as const;
export type Added = (typeof Added)[keyof typeof Added];

/** What {@link RemoteKeys.remove} has changed. */
export const Removed = {
  /** No forwarder leads to the key any more. */
  Last: 0,
  /** Another forwarder still does. */
  One: 1,
  Nothing: 2,
} as const;
export type Removed = (typeof Removed)[keyof typeof Removed];

/** A forwarder, and how many keys it leads to. */
export class Way {
  readonly forwarder: Forwarder;
  /** From 1; no other way has it at the same time. */
  readonly number: number;
  /** Number of keys that were reported on its present connection. */
  currentKeys = 0;
  /** Keys from before. */
  oldKeys = 0;

  constructor(forwarder: Forwarder, number: number) {
    this.forwarder = forwarder;
    this.number = number;
  }

  get keys(): number {
    return this.currentKeys + this.oldKeys;
  }
}

/**
 * The keys that are connected elsewhere, and the forwarders that reach each (protocol reference §4.10). A region may
 * have a hundred thousand of them, and most never send a packet through this relay. So an entry is about 40 bytes of
 * flat memory and not an object. The entries are stored in pages, so that growing copies no key. An index with open
 * addressing leads to them; a key with several forwarders has several entries, the oldest first in its probe run.
 */
export class RemoteKeys extends KeyTable {
  /** Number of the entry plus 1; 0: the slot is empty. */
  #index = new Int32Array(INITIAL_SLOTS);
  /** Words of the keys. */
  readonly #pages: Int32Array[] = [];
  /** By entry: number of the way times two, plus {@link OLD}. */
  #owners = new Uint16Array(PAGE_KEYS);
  #size = 0;
  /** By their numbers; the first place stays empty. */
  readonly #ways: (Way | null)[] = [null];

  /** Keys, each as often as it has forwarders. */
  get size(): number {
    return this.#size;
  }

  /** A way for a new forwarder, without keys. Throws a RangeError when there are too many. */
  open(forwarder: Forwarder): Way {
    const free = this.#ways.indexOf(null, 1);
    const number = free < 0 ? this.#ways.length : free;
    if (number > MOST_WAYS) throw new RangeError(`more than ${MOST_WAYS} forwarders`);
    return (this.#ways[number] = new Way(forwarder, number));
  }

  /** Another forwarder may have its number. Its keys must have been removed. */
  close(way: Way): void {
    if (this.#ways[way.number] === way) this.#ways[way.number] = null;
  }

  /**
   * The forwarder of the key that is the 32 bytes at `at`: the oldest that is up, else the oldest; null when there is none.
   */
  find(buffer: Buffer, at: number): Forwarder | null {
    return this.#size === 0 ? null : this.#find(this.viewOf(buffer), at);
  }

  /** Whether a forwarder leads to this key, 32 bytes. */
  has(key: Buffer): boolean {
    return this.#size > 0 && this.#find(this.viewOfKey(key), 0) !== null;
  }

  /**
   * Enters that `way` leads to the key that is the 32 bytes at `at`, on its present connection. Other forwarders to which
   * the key was not reported on their present connections do not lead to it any more: the key has moved.
   */
  add(buffer: Buffer, at: number, way: Way): Added {
    if (this.#size >= this.#index.length * MOST_TAKEN) this.#growIndex();
    const view = this.viewOf(buffer);
    const owners = this.#owners;
    let added: Added = Added.First;
    let hasOld = false;
    let slot = this.#home(view, at);
    for (; this.#index[slot] !== 0; slot = this.#next(slot)) {
      const entry = this.#index[slot]! - 1;
      if (!this.#holds(entry, view, at)) continue;
      if (owners[entry]! >> 1 !== way.number) {
        hasOld ||= (owners[entry]! & OLD) !== 0;
        if (added === Added.First) added = Added.Another;
      } else if ((owners[entry]! & OLD) === 0) {
        added = Added.Nothing;
      } else {
        added = Added.Renewed;
        owners[entry] = way.number * 2;
        way.oldKeys--;
        way.currentKeys++;
      }
    }
    if (added <= Added.Another) this.#index[slot] = this.#append(view, at, way) + 1;
    if (hasOld) this.#removeOld(view, at, way);
    return added;
  }

  /** `way` does not lead to the key at `at` any more. */
  remove(buffer: Buffer, at: number, way: Way): Removed {
    const view = this.viewOf(buffer);
    let own = -1;
    let hasOther = false;
    let slot = this.#home(view, at);
    for (; this.#index[slot] !== 0; slot = this.#next(slot)) {
      const entry = this.#index[slot]! - 1;
      if (!this.#holds(entry, view, at)) continue;
      if (this.#owners[entry]! >> 1 === way.number) own = slot;
      else hasOther = true;
    }
    if (own < 0) return Removed.Nothing;
    this.#free(own);
    return hasOther ? Removed.One : Removed.Last;
  }

  /** Whether `way` leads to the key at `at`. */
  leads(buffer: Buffer, at: number, way: Way): boolean {
    const view = this.viewOf(buffer);
    let slot = this.#home(view, at);
    for (; this.#index[slot] !== 0; slot = this.#next(slot)) {
      const entry = this.#index[slot]! - 1;
      if (this.#owners[entry]! >> 1 === way.number && this.#holds(entry, view, at)) return true;
    }
    return false;
  }

  /** All keys of `way` are from before its present connection. */
  age(way: Way): void {
    const owners = this.#owners;
    const current = way.number * 2;
    for (let entry = 0; way.currentKeys > 0; entry++) {
      if (owners[entry] !== current) continue;
      owners[entry] = current | OLD;
      way.currentKeys--;
      way.oldKeys++;
    }
  }

  /**
   * Looks for an old key of `way` from the entry `from` on and writes it into `key`, 32 bytes. Returns its entry, where to go
   * on after the key was removed, or −1 when there is none from there on.
   */
  nextOld(way: Way, from: number, key: Buffer): number {
    const entry = this.#owners.indexOf((way.number * 2) | OLD, from);
    if (entry < 0) return -1;
    this.#readKey(entry, key);
    return entry;
  }

  /**
   * Calls `visit` once with each key that a link of this thread leads to. The key is valid during the call only, and the table
   * must not change meanwhile.
   */
  forEachOwn(visit: (key: Buffer) => void): void {
    const key = Buffer.alloc(KEY_BYTES);
    for (let entry = 0; entry < this.#size; entry++) {
      if (this.#ways[this.#owners[entry]! >> 1]!.forwarder.isElsewhere === true) continue;
      this.#readKey(entry, key);
      const view = this.viewOfKey(key);
      let slot = this.#home(view, 0);
      while (!this.#holds(this.#index[slot]! - 1, view, 0)) slot = this.#next(slot);
      if (this.#index[slot]! - 1 === entry) visit(key);
    }
  }

  #find(view: DataView, at: number): Forwarder | null {
    let first: Forwarder | null = null;
    let slot = this.#home(view, at);
    for (; this.#index[slot] !== 0; slot = this.#next(slot)) {
      const entry = this.#index[slot]! - 1;
      if (!this.#holds(entry, view, at)) continue;
      const { forwarder } = this.#ways[this.#owners[entry]! >> 1]!;
      if (forwarder.isUp) return forwarder;
      first ??= forwarder;
    }
    return first;
  }

  // ---- the index

  #home(view: DataView, at: number): number {
    return this.hashAt(view, at) & (this.#index.length - 1);
  }

  #next(slot: number): number {
    return (slot + 1) & (this.#index.length - 1);
  }

  #homeOf(entry: number): number {
    const page = this.#pages[entry >> PAGE_BITS]!;
    return this.hashOf(page, (entry & (PAGE_KEYS - 1)) * KEY_WORDS) & (this.#index.length - 1);
  }

  #growIndex(): void {
    const before = this.#index;
    this.#index = new Int32Array(before.length * 2);
    // From an empty slot on, so that no probe run is cut and the entries of a key keep their order.
    const begin = before.indexOf(0);
    for (let n = 0; n < before.length; n++) {
      const entry = before[(begin + n) & (before.length - 1)]!;
      if (entry === 0) continue;
      let slot = this.#homeOf(entry - 1);
      while (this.#index[slot] !== 0) slot = this.#next(slot);
      this.#index[slot] = entry;
    }
  }

  /** Removes the old entries of a key, except that of `way`. */
  #removeOld(view: DataView, at: number, way: Way): void {
    let slot = this.#home(view, at);
    while (this.#index[slot] !== 0) {
      const entry = this.#index[slot]! - 1;
      const owner = this.#owners[entry]!;
      const isOver = (owner & OLD) !== 0 && owner >> 1 !== way.number && this.#holds(entry, view, at);
      // The next entry of the run comes into the freed slot.
      if (isOver) this.#free(slot);
      else slot = this.#next(slot);
    }
  }

  /** Empties a slot; later ones of its probe run move up, in their order, so there are no tombstones. */
  #free(slot: number): void {
    const index = this.#index;
    const mask = index.length - 1;
    this.#drop(index[slot]! - 1);
    let hole = slot;
    for (let at = this.#next(hole); index[at] !== 0; at = this.#next(at)) {
      const home = this.#homeOf(index[at]! - 1);
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      index[hole] = index[at]!;
      hole = at;
    }
    index[hole] = 0;
  }

  // ---- the entries

  #holds(entry: number, view: DataView, at: number): boolean {
    const page = this.#pages[entry >> PAGE_BITS]!;
    const base = (entry & (PAGE_KEYS - 1)) * KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i++) if (page[base + i] !== view.getInt32(at + i * 4, true)) return false;
    return true;
  }

  #readKey(entry: number, key: Buffer): void {
    const page = this.#pages[entry >> PAGE_BITS]!;
    const base = (entry & (PAGE_KEYS - 1)) * KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i++) key.writeInt32LE(page[base + i]!, i * 4);
  }

  /** A new entry for the key at `at`; returns its number. */
  #append(view: DataView, at: number, way: Way): number {
    const entry = this.#size++;
    const page = (this.#pages[entry >> PAGE_BITS] ??= new Int32Array(PAGE_KEYS * KEY_WORDS));
    const base = (entry & (PAGE_KEYS - 1)) * KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i++) page[base + i] = view.getInt32(at + i * 4, true);
    if (entry >= this.#owners.length) {
      const owners = new Uint16Array(this.#owners.length * 2);
      owners.set(this.#owners);
      this.#owners = owners;
    }
    this.#owners[entry] = way.number * 2;
    way.currentKeys++;
    return entry;
  }

  /** Removes an entry. The last entry takes its place, and its slot is changed. The caller clears the slot of the removed one. */
  #drop(entry: number): void {
    const owners = this.#owners;
    const way = this.#ways[owners[entry]! >> 1]!;
    if ((owners[entry]! & OLD) === 0) way.currentKeys--;
    else way.oldKeys--;
    const last = --this.#size;
    const base = (last & (PAGE_KEYS - 1)) * KEY_WORDS;
    const page = this.#pages[last >> PAGE_BITS]!;
    if (entry !== last) {
      let slot = this.#homeOf(last);
      while (this.#index[slot] !== last + 1) slot = this.#next(slot);
      this.#index[slot] = entry + 1;
      const target = (entry & (PAGE_KEYS - 1)) * KEY_WORDS;
      this.#pages[entry >> PAGE_BITS]!.set(page.subarray(base, base + KEY_WORDS), target);
      owners[entry] = owners[last]!;
    }
    owners[last] = 0;
    // One page more is kept, for a table whose size goes up and down.
    this.#pages.length = Math.min(this.#pages.length, (last >> PAGE_BITS) + 2);
  }
}
