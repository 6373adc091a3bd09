/**
 * The limits of one key, as plain data for any thread. The service takes them from the key's tier and sends them with
 * the admission verdict. They may change while the key is connected.
 */
export interface ClientLimits {
  /** The name of the tier; empty when the key has none. */
  readonly tier: string;
  /** Bytes per second that the key may send; 0: no limit. */
  readonly bytesPerSecond: number;
  /** Bytes that the key may send at once after a pause. */
  readonly burstBytes: number;
  /** The weight of each connection for the total rate and the processor. */
  readonly weight: number;
  /** Largest number of connections of the key. The oldest is ended for a new one. */
  readonly connections: number;
}

/** Returns whether both are equal. */
export function isSameLimits(a: ClientLimits, b: ClientLimits): boolean {
  return (
    a.tier === b.tier &&
    a.bytesPerSecond === b.bytesPerSecond &&
    a.burstBytes === b.burstBytes &&
    a.weight === b.weight &&
    a.connections === b.connections
  );
}
