import { MAX_VNI } from '../../wire/geneve.ts';

/** The low bits of a VNI are the place of its endpoint in all tables, so that a packet finds it without a search. */
const SLOT_BITS = 16;
/** Most endpoints of a relay. */
export const MAX_ENDPOINTS: number = 2 ** SLOT_BITS;
const SLOT_MASK = MAX_ENDPOINTS - 1;
/** Number of VNIs of one slot. */
const ROUNDS = (MAX_VNI + 1) / MAX_ENDPOINTS;

/**
 * The VNIs of endpoints. A freed one comes back as late as possible: free slots wait in a queue, and each use of a slot
 * has the next of its {@link ROUNDS} VNIs. So a packet for an endpoint that has ended meets no other one.
 */
export class VniPool {
  /** The VNI that each slot has now; 0: the slot is free. */
  readonly #vnis: Int32Array;
  readonly #rounds: Uint16Array;
  /** Free slots, as a ring. */
  readonly #free: Int32Array;
  #head = 0;
  #freeCount: number;

  /** `random` gives 32 bits: VNIs of two processes should differ, which helps to read a packet capture. */
  constructor(slots: number, random: () => number) {
    if (!(slots >= 1 && slots <= MAX_ENDPOINTS)) throw new RangeError(`slots is ${slots}`);
    this.#vnis = new Int32Array(slots);
    this.#rounds = Uint16Array.from({ length: slots }, () => (random() >>> 0) % ROUNDS);
    this.#free = Int32Array.from({ length: slots }, (_, slot) => slot);
    this.#freeCount = slots;
  }

  /** Number of slots, free and taken. */
  get slots(): number {
    return this.#vnis.length;
  }

  /** Number of taken slots. */
  get used(): number {
    return this.#vnis.length - this.#freeCount;
  }

  /** Takes the slot that has been free for longest and gives it a new VNI; -1 when none is free. */
  take(): number {
    if (this.#freeCount === 0) return -1;
    const slot = this.#free[this.#head]!;
    this.#head = (this.#head + 1) % this.#free.length;
    this.#freeCount--;
    let round = this.#rounds[slot]!;
    do round = (round + 1) % ROUNDS;
    while (vniAt(round, slot) === 0);
    this.#rounds[slot] = round;
    this.#vnis[slot] = vniAt(round, slot);
    return slot;
  }

  /** Takes the slot of a VNI that an earlier process gave; -1 when there is none, or it is taken. */
  takeBack(vni: number): number {
    const slot = vni & SLOT_MASK;
    if (!(vni >= 1 && vni <= MAX_VNI) || slot >= this.slots || this.#vnis[slot] !== 0) return -1;
    const at = this.#placeOf(slot);
    // The first in the ring takes the place of the one that leaves it.
    this.#free[at] = this.#free[this.#head]!;
    this.#head = (this.#head + 1) % this.#free.length;
    this.#freeCount--;
    this.#rounds[slot] = vni >>> SLOT_BITS;
    this.#vnis[slot] = vni;
    return slot;
  }

  /** Frees a taken slot. */
  release(slot: number): void {
    this.#vnis[slot] = 0;
    this.#free[(this.#head + this.#freeCount) % this.#free.length] = slot;
    this.#freeCount++;
  }

  /** The VNI of a taken slot. */
  vniOf(slot: number): number {
    return this.#vnis[slot]!;
  }

  /** The slot of a VNI in use, or -1. */
  slotOf(vni: number): number {
    const slot = vni & SLOT_MASK;
    return slot < this.#vnis.length && vni !== 0 && this.#vnis[slot] === vni ? slot : -1;
  }

  #placeOf(slot: number): number {
    let at = this.#head;
    while (this.#free[at] !== slot) at = (at + 1) % this.#free.length;
    return at;
  }
}

function vniAt(round: number, slot: number): number {
  return (round << SLOT_BITS) | slot;
}
