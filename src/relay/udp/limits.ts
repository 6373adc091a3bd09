import type { BudgetRate } from './budgets.ts';

/** What the relay gives to its nodes. Rates of 0 are no limit. */
export interface UdpRelayLimits {
  /** Endpoints at once; at most 65,536. */
  readonly endpoints: number;
  /** Endpoints at once that one node has asked for. */
  readonly endpointsPerNode: number;
  /** Endpoints at once between the same two nodes, which may have changed their disco keys. */
  readonly endpointsPerPair: number;
  /** New endpoints that one node may ask for in a minute. */
  readonly allocationsPerMinute: number;
  /** What one node may send. */
  readonly bytesPerSecondPerNode: number;
  /** What all nodes together may send. */
  readonly totalBytesPerSecond: number;
  /** A bound endpoint ends when either side has been silent for so long. */
  readonly idleSeconds: number;
}

/** Told to clients: how long they have to bind (peer relay reference §7.1). */
export const BIND_LIFETIME_MS = 30_000;
/** An endpoint ends when a side is not bound by then. The second client may have learnt of it late in its lifetime. */
export const UNBOUND_LIFE_MS = 55_000;
/** An endpoint that was silent for so long makes room for a new one when a limit is reached. */
export const IDLE_MS = 60_000;
/** A side's address before it bound again is still good as a source for this time (peer relay reference §5.4). */
export const PREVIOUS_ADDRESS_MS = 7000;

/** Control packets of one endpoint: each costs a box. A client sends one bind to each of up to 8 addresses at once. */
export const CONTROL_PER_ENDPOINT: BudgetRate = { perSecond: 30, burst: 90 };
/** Control packets of all endpoints: about a tenth of a core. */
export const CONTROL_IN_ALL: BudgetRate = { perSecond: 8000, burst: 8000 };

/** A byte rate with a quarter of a second at once, and room for the largest batch. */
export function byteRate(bytesPerSecond: number): BudgetRate {
  return { perSecond: bytesPerSecond, burst: Math.max(bytesPerSecond / 4, 65_536) };
}

/** A rate of allocations with those of a minute at once. */
export function allocationRate(perMinute: number): BudgetRate {
  return { perSecond: perMinute / 60, burst: perMinute };
}
