import { randomBytes } from 'node:crypto';
import { KEY_BYTES } from '../../wire/frames.ts';
import { hashOfKey, KEY_WORDS, KeyViews } from './key-words.ts';
import type { Forwarder } from './recipient.ts';

const INITIAL_SLOTS = 64;
/** The table grows when more than this part of its slots is taken. */
const MOST_TAKEN = 3 / 4;
/** Ways at one time: their number has to fit into 15 bits. */
const MOST_WAYS = 32_767;
/** In the owner of an entry: the key was told of before the present connection of the forwarder. */
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
  /** Keys that it was told of on its present connection. */
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
 * The keys that are connected elsewhere, and the forwarders that lead to each (protocol reference §4.10). A region may have
 * a hundred thousand of them, and most never send a packet through this relay: an entry is 34 bytes of flat memory and no
 * object. Open addressing; a key with several forwarders has several entries, the oldest first in its probe run.
 */
export class RemoteKeys {
  #slots = INITIAL_SLOTS;
  #words = new Int32Array(INITIAL_SLOTS * KEY_WORDS);
  /** Number of the way times two, plus {@link OLD}; 0: the slot is empty. */
  #owners = new Uint16Array(INITIAL_SLOTS);
  #size = 0;
  /** By their numbers; the first place stays empty. */
  readonly #ways: (Way | null)[] = [null];
  readonly #seed: number;
  readonly #views = new KeyViews();

  /** `seed` is random unless a test wants collisions. */
  constructor(seed: number = randomBytes(4).readInt32LE(0)) {
    this.#seed = seed;
  }

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
    return this.#size === 0 ? null : this.#find(this.#views.of(buffer), at);
  }

  /** Whether a forwarder leads to this key, 32 bytes. */
  has(key: Buffer): boolean {
    return this.#size > 0 && this.#find(this.#views.ofKey(key), 0) !== null;
  }

  /**
   * `way` leads to the key that is the 32 bytes at `at`, from now on and on its present connection. Other forwarders that
   * have not been told of the key since their connection is new do not lead to it any more: the key has moved.
   */
  add(buffer: Buffer, at: number, way: Way): Added {
    if (this.#size >= this.#slots * MOST_TAKEN) this.#grow();
    const view = this.#views.of(buffer);
    let added: Added = Added.First;
    let hasOld = false;
    let slot = this.#home(view.getInt32(at, true), view.getInt32(at + 4, true));
    for (; this.#owners[slot] !== 0; slot = (slot + 1) & (this.#slots - 1)) {
      if (!this.#holds(slot, view, at)) continue;
      const owner = this.#owners[slot]!;
      if (owner >> 1 === way.number) {
        added = (owner & OLD) === 0 ? Added.Nothing : Added.Renewed;
        if (added === Added.Renewed) this.#renew(slot, way);
      } else {
        hasOld ||= (owner & OLD) !== 0;
        if (added === Added.First) added = Added.Another;
      }
    }
    if (added <= Added.Another) this.#put(slot, view, at, way);
    if (hasOld) this.#removeOld(view, at, way);
    return added;
  }

  /** `way` does not lead to the key at `at` any more. */
  remove(buffer: Buffer, at: number, way: Way): Removed {
    const view = this.#views.of(buffer);
    let own = -1;
    let hasOther = false;
    let slot = this.#home(view.getInt32(at, true), view.getInt32(at + 4, true));
    for (; this.#owners[slot] !== 0; slot = (slot + 1) & (this.#slots - 1)) {
      if (!this.#holds(slot, view, at)) continue;
      if (this.#owners[slot]! >> 1 === way.number) own = slot;
      else hasOther = true;
    }
    if (own < 0) return Removed.Nothing;
    this.#free(own);
    return hasOther ? Removed.One : Removed.Last;
  }

  /** Whether `way` leads to the key at `at`. */
  leads(buffer: Buffer, at: number, way: Way): boolean {
    const view = this.#views.of(buffer);
    let slot = this.#home(view.getInt32(at, true), view.getInt32(at + 4, true));
    for (; this.#owners[slot] !== 0; slot = (slot + 1) & (this.#slots - 1)) {
      if (this.#owners[slot]! >> 1 === way.number && this.#holds(slot, view, at)) return true;
    }
    return false;
  }

  /** All keys of `way` are from before its present connection. */
  age(way: Way): void {
    const owners = this.#owners;
    const current = way.number * 2;
    for (let slot = 0; way.currentKeys > 0; slot++) {
      if (owners[slot] !== current) continue;
      owners[slot] = current | OLD;
      way.currentKeys--;
      way.oldKeys++;
    }
  }

  /**
   * Looks for an old key of `way` from the slot `from` on and writes it into `key`, 32 bytes. Returns its slot, where to go on
   * after the key was removed, or −1 when there is none behind `from`.
   */
  nextOld(way: Way, from: number, key: Buffer): number {
    const slot = this.#owners.indexOf((way.number * 2) | OLD, from);
    if (slot < 0) return -1;
    this.#readKey(slot, key);
    return slot;
  }

  /**
   * Calls `visit` once with each key that a link of this thread leads to. The key is valid during the call only, and the table
   * must not change meanwhile.
   */
  forEachOwn(visit: (key: Buffer) => void): void {
    const key = Buffer.alloc(KEY_BYTES);
    for (let slot = 0; slot < this.#slots; slot++) {
      const owner = this.#owners[slot]!;
      if (owner === 0 || this.#ways[owner >> 1]!.forwarder.isElsewhere === true) continue;
      this.#readKey(slot, key);
      const view = this.#views.ofKey(key);
      let first = this.#home(view.getInt32(0, true), view.getInt32(4, true));
      while (!this.#holds(first, view, 0)) first = (first + 1) & (this.#slots - 1);
      if (first === slot) visit(key);
    }
  }

  #readKey(slot: number, key: Buffer): void {
    for (let i = 0; i < KEY_WORDS; i++) key.writeInt32LE(this.#words[slot * KEY_WORDS + i]!, i * 4);
  }

  #find(view: DataView, at: number): Forwarder | null {
    let first: Forwarder | null = null;
    let slot = this.#home(view.getInt32(at, true), view.getInt32(at + 4, true));
    for (; this.#owners[slot] !== 0; slot = (slot + 1) & (this.#slots - 1)) {
      if (!this.#holds(slot, view, at)) continue;
      const { forwarder } = this.#ways[this.#owners[slot]! >> 1]!;
      if (forwarder.isUp) return forwarder;
      first ??= forwarder;
    }
    return first;
  }

  #home(first: number, second: number): number {
    return hashOfKey(first, second, this.#seed) & (this.#slots - 1);
  }

  #holds(slot: number, view: DataView, at: number): boolean {
    const base = slot * KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i++) if (this.#words[base + i] !== view.getInt32(at + i * 4, true)) return false;
    return true;
  }

  #put(slot: number, view: DataView, at: number, way: Way): void {
    for (let i = 0; i < KEY_BYTES; i += 4) this.#words[slot * KEY_WORDS + i / 4] = view.getInt32(at + i, true);
    this.#owners[slot] = way.number * 2;
    this.#size++;
    way.currentKeys++;
  }

  #renew(slot: number, way: Way): void {
    this.#owners[slot] = way.number * 2;
    way.oldKeys--;
    way.currentKeys++;
  }

  /** Removes the old entries of a key, except that of `way`. */
  #removeOld(view: DataView, at: number, way: Way): void {
    let slot = this.#home(view.getInt32(at, true), view.getInt32(at + 4, true));
    while (this.#owners[slot] !== 0) {
      const owner = this.#owners[slot]!;
      const isOver = (owner & OLD) !== 0 && owner >> 1 !== way.number && this.#holds(slot, view, at);
      // The next entry of the run comes into the freed slot.
      if (isOver) this.#free(slot);
      else slot = (slot + 1) & (this.#slots - 1);
    }
  }

  /** Empties a slot; later entries of its probe run move up, in their order, so there are no tombstones. */
  #free(slot: number): void {
    const mask = this.#slots - 1;
    const words = this.#words;
    const owners = this.#owners;
    const way = this.#ways[owners[slot]! >> 1]!;
    if ((owners[slot]! & OLD) === 0) way.currentKeys--;
    else way.oldKeys--;
    this.#size--;
    let hole = slot;
    for (let at = (hole + 1) & mask; owners[at] !== 0; at = (at + 1) & mask) {
      const home = this.#home(words[at * KEY_WORDS]!, words[at * KEY_WORDS + 1]!);
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      owners[hole] = owners[at]!;
      words.copyWithin(hole * KEY_WORDS, at * KEY_WORDS, (at + 1) * KEY_WORDS);
      hole = at;
    }
    owners[hole] = 0;
  }

  #grow(): void {
    const words = this.#words;
    const owners = this.#owners;
    const slots = this.#slots;
    this.#slots *= 2;
    this.#words = new Int32Array(this.#slots * KEY_WORDS);
    this.#owners = new Uint16Array(this.#slots);
    // From an empty slot on, so that no probe run is cut and the entries of a key keep their order.
    const begin = owners.indexOf(0);
    for (let n = 0; n < slots; n++) {
      const slot = (begin + n) & (slots - 1);
      if (owners[slot] === 0) continue;
      let at = this.#home(words[slot * KEY_WORDS]!, words[slot * KEY_WORDS + 1]!);
      while (this.#owners[at] !== 0) at = (at + 1) & (this.#slots - 1);
      this.#owners[at] = owners[slot]!;
      for (let i = 0; i < KEY_WORDS; i++) this.#words[at * KEY_WORDS + i] = words[slot * KEY_WORDS + i]!;
    }
  }
}
