/**
 * What one key may do, as plain data that can be handed to another thread. The service decides it from the tier of the
 * key and gives it with the admission verdict; it may change while the key is connected.
 */
export interface ClientLimits {
  /** The name of the tier, for people; empty when the key is of none. */
  readonly tier: string;
  /** Bytes per second that the key may send; 0: no limit. */
  readonly bytesPerSecond: number;
  /** Bytes that the key may send at once after a pause. */
  readonly burstBytes: number;
  /** How many shares each connection has of the total and of the processor. */
  readonly weight: number;
  /** Connections of the key at one time; the oldest makes room for a new one. */
  readonly connections: number;
}

/** True when both allow the same. */
export function isSameLimits(a: ClientLimits, b: ClientLimits): boolean {
  return (
    a.tier === b.tier &&
    a.bytesPerSecond === b.bytesPerSecond &&
    a.burstBytes === b.burstBytes &&
    a.weight === b.weight &&
    a.connections === b.connections
  );
}
