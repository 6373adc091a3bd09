/** How many packets per pair are tracked, back from the newest one. */
export const TRACKED_PACKETS = 8192;

/** What the arrival of a sequence number means. */
export const Arrival = { InOrder: 0, Reordered: 1, Duplicated: 2 } as const;
export type Arrival = (typeof Arrival)[keyof typeof Arrival];

/**
 * Tracks the order in which the packets of one pair arrive: in order, reordered or duplicated. It remembers the last
 * {@link TRACKED_PACKETS} numbers. An older packet counts as reordered while any packet is missing, otherwise as a
 * duplicate.
 */
export class SequenceTracker {
  /** One bit per number, allocated with the first packet that is not next in line. */
  #seen: Uint32Array | null = null;
  #next = 0;
  #missing = 0;

  /** Numbers below the newest one that have not arrived. */
  get missing(): number {
    return this.#missing;
  }

  /** Different numbers that have arrived. */
  get arrived(): number {
    return this.#next - this.#missing;
  }

  /** Takes the arrival of packet number `sequence`. */
  take(sequence: number): Arrival {
    if (sequence >= this.#next) {
      this.#advance(sequence);
      return Arrival.InOrder;
    }
    if (sequence < this.#next - TRACKED_PACKETS) {
      if (this.#missing === 0) return Arrival.Duplicated;
      this.#missing--;
      return Arrival.Reordered;
    }
    if (this.#seen === null || this.#has(sequence)) return Arrival.Duplicated;
    this.#mark(sequence);
    this.#missing--;
    return Arrival.Reordered;
  }

  #advance(sequence: number): void {
    const gap = sequence - this.#next;
    if (gap > 0 && this.#seen === null) this.#seen = new Uint32Array(TRACKED_PACKETS / 32).fill(0xffff_ffff);
    if (this.#seen !== null) {
      const from = Math.max(this.#next, sequence - TRACKED_PACKETS + 1);
      for (let number = from; number < sequence; number++) this.#clear(number);
      this.#mark(sequence);
    }
    this.#missing += gap;
    this.#next = sequence + 1;
  }

  #has(sequence: number): boolean {
    const slot = sequence % TRACKED_PACKETS;
    return (this.#seen![slot >>> 5]! & (1 << (slot & 31))) !== 0;
  }

  #mark(sequence: number): void {
    const slot = sequence % TRACKED_PACKETS;
    this.#seen![slot >>> 5]! |= 1 << (slot & 31);
  }

  #clear(sequence: number): void {
    const slot = sequence % TRACKED_PACKETS;
    this.#seen![slot >>> 5]! &= ~(1 << (slot & 31));
  }
}
