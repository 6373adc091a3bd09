import { allocationRate, byteRate, type UdpRelayLimits } from './limits.ts';
import { Budgets } from './budgets.ts';

/** No node, or one that is not known. */
export const NO_NODE = -1;

/**
 * The nodes that use the relay, each with a number and with its budgets of allocations and bytes. A node is remembered
 * while an endpoint names it and until its budget of allocations is full again.
 */
export class Nodes {
  readonly #numbers = new Map<string, number>();
  readonly #names: (string | null)[] = [];
  readonly #free: number[] = [];
  /** By number: how many endpoints and sides name the node. */
  readonly #uses: Int32Array;
  readonly #allocations: Budgets;
  readonly #bytes: Budgets;

  /**
   * Each endpoint names at most three nodes. Allocations without an endpoint are refused when there are too many nodes.
   */
  constructor(endpoints: number, limits: UdpRelayLimits) {
    const capacity = 4 * endpoints + 64;
    this.#uses = new Int32Array(capacity);
    this.#allocations = new Budgets(capacity, allocationRate(limits.allocationsPerMinute));
    this.#bytes = new Budgets(capacity, byteRate(limits.bytesPerSecondPerNode));
  }

  /** Changes the common limits, also for known nodes. */
  setLimits(limits: UdpRelayLimits): void {
    this.#allocations.setRate(allocationRate(limits.allocationsPerMinute));
    this.#bytes.setRate(byteRate(limits.bytesPerSecondPerNode));
  }

  /** Sets the rate of a node in bytes per second, instead of the common limit; 0: no limit; null: the common limit. */
  setRate(number: number, bytesPerSecond: number | null): void {
    if (number !== NO_NODE) this.#bytes.setOwnRate(number, bytesPerSecond === null ? null : byteRate(bytesPerSecond));
  }

  /** Number of known nodes. */
  get size(): number {
    return this.#numbers.size;
  }

  /** Returns the number of a node, new or known; {@link NO_NODE} when there is no room for it. */
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

  /** Returns the number of a known node, or {@link NO_NODE}. */
  find(name: string): number {
    return this.#numbers.get(name) ?? NO_NODE;
  }

  /** Returns the name of a node; null for {@link NO_NODE}. */
  nameOf(number: number): string | null {
    return number === NO_NODE ? null : this.#names[number]!;
  }

  /** Records that an endpoint names the node. */
  use(number: number): void {
    if (number !== NO_NODE) this.#uses[number]!++;
  }

  /** Records that an endpoint that named the node has ended. */
  release(number: number): void {
    if (number !== NO_NODE) this.#uses[number]!--;
  }

  /** Takes one allocation from the budget of a node. Returns false when there is none left. */
  mayAllocate(number: number, now: number): boolean {
    return this.#allocations.take(number, 1, now);
  }

  /** Takes `bytes` from the budget of a node. Returns false when it has less. An unknown node has no limit. */
  maySend(number: number, bytes: number, now: number): boolean {
    return number === NO_NODE || this.#bytes.take(number, bytes, now);
  }

  /** Forgets nodes that have no endpoint and a full budget of allocations. */
  tick(now: number): void {
    for (const [name, number] of this.#numbers) {
      if (this.#uses[number] !== 0 || !this.#allocations.isFull(number, now)) continue;
      this.#numbers.delete(name);
      this.#names[number] = null;
      this.#free.push(number);
    }
  }
}
