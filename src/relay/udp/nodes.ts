import { allocationRate, byteRate, type UdpRelayLimits } from './limits.ts';
import { Budgets } from './budgets.ts';

/** No node, or one that is not known. */
export const NO_NODE = -1;

/**
 * The nodes that use the relay, each with a number and with what it may still ask for and send. A node is remembered
 * while an endpoint is its own and until its budget of allocations is full again.
 */
export class Nodes {
  readonly #numbers = new Map<string, number>();
  readonly #names: (string | null)[] = [];
  readonly #free: number[] = [];
  /** How many places in endpoints name it. */
  readonly #uses: Int32Array;
  readonly #allocations: Budgets;
  readonly #bytes: Budgets;

  /** Each endpoint names three nodes at most, and allocations without an endpoint are refused when there are too many. */
  constructor(endpoints: number, limits: UdpRelayLimits) {
    const capacity = 4 * endpoints + 64;
    this.#uses = new Int32Array(capacity);
    this.#allocations = new Budgets(capacity, allocationRate(limits.allocationsPerMinute));
    this.#bytes = new Budgets(capacity, byteRate(limits.bytesPerSecondPerNode));
  }

  setLimits(limits: UdpRelayLimits): void {
    this.#allocations.setRate(allocationRate(limits.allocationsPerMinute));
    this.#bytes.setRate(byteRate(limits.bytesPerSecondPerNode));
  }

  /** What a node may send, bytes per second, in place of the common limit; 0: no limit; null: the common one. */
  setRate(number: number, bytesPerSecond: number | null): void {
    if (number !== NO_NODE) this.#bytes.setOwnRate(number, bytesPerSecond === null ? null : byteRate(bytesPerSecond));
  }

  get size(): number {
    return this.#numbers.size;
  }

  /** The number of a node, new or known; {@link NO_NODE} when there is no room for it. */
  numberOf(name: string, now: number): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const number = this.#free.pop() ?? this.#names.length;
    if (number >= this.#uses.length) return NO_NODE;
    this.#names[number] = name;
    this.#numbers.set(name, number);
    this.#allocations.reset(number, now);
    this.#bytes.reset(number, now);
    return number;
  }

  /** The number of a node that is known, or {@link NO_NODE}. */
  find(name: string): number {
    return this.#numbers.get(name) ?? NO_NODE;
  }

  nameOf(number: number): string | null {
    return number === NO_NODE ? null : this.#names[number]!;
  }

  /** An endpoint names the node from now on. */
  use(number: number): void {
    if (number !== NO_NODE) this.#uses[number]!++;
  }

  /** An endpoint that named the node has ended. */
  release(number: number): void {
    if (number !== NO_NODE) this.#uses[number]!--;
  }

  mayAllocate(number: number, now: number): boolean {
    return this.#allocations.take(number, 1, now);
  }

  maySend(number: number, bytes: number, now: number): boolean {
    return number === NO_NODE || this.#bytes.take(number, bytes, now);
  }

  /** Forgets nodes that nothing is known of but their name. */
  tick(now: number): void {
    for (const [name, number] of this.#numbers) {
      if (this.#uses[number] !== 0 || !this.#allocations.isFull(number, now)) continue;
      this.#numbers.delete(name);
      this.#names[number] = null;
      this.#free.push(number);
    }
  }
}
