import type { BudgetRate } from './budgets.ts';

/** The limits of the UDP relay. A rate of 0 means no limit. */
export interface UdpRelayLimits {
  /** Endpoints at once; at most 65,536. */
  readonly endpoints: number;
  /** Endpoints at once that one node has asked for. */
  readonly endpointsPerNode: number;
  /** Endpoints at once between the same two nodes, which may have changed their disco keys. */
  readonly endpointsPerPair: number;
  /** New endpoints that one node may ask for in a minute. */
  readonly allocationsPerMinute: number;
  /** Byte rate of one node. */
  readonly bytesPerSecondPerNode: number;
  /** Byte rate of all nodes together. */
  readonly totalBytesPerSecond: number;
  /** A bound endpoint ends when either side has been silent for this time. */
  readonly idleSeconds: number;
}

/** Time that clients have to bind. The relay tells it to them (peer relay reference §7.1). */
export const BIND_LIFETIME_MS = 30_000;
/** An endpoint ends when a side is not bound after this time. The second client may learn of it late. */
export const UNBOUND_LIFE_MS = 55_000;
/** When a limit is reached, an endpoint that was silent for this time is ended for a new one. */
export const IDLE_MS = 60_000;
/** A side's address before it bound again is still good as a source for this time (peer relay reference §5.4). */
export const PREVIOUS_ADDRESS_MS = 7000;

/** Control packets of one endpoint: each costs a box. A client sends one bind to each of up to 8 addresses at once. */
export const CONTROL_PER_ENDPOINT: BudgetRate = { perSecond: 30, burst: 90 };
/** Control packets of all endpoints: about a tenth of a core. */
export const CONTROL_IN_ALL: BudgetRate = { perSecond: 8000, burst: 8000 };

/** Returns a byte rate with a burst of a quarter of a second, and at least the largest batch. */
export function byteRate(bytesPerSecond: number): BudgetRate {
  return { perSecond: bytesPerSecond, burst: Math.max(bytesPerSecond / 4, 65_536) };
}

/** Returns a rate of allocations with a burst of one minute. */
export function allocationRate(perMinute: number): BudgetRate {
  return { perSecond: perMinute / 60, burst: perMinute };
}
