import type { TrafficTotals } from './traffic.ts';
import type { Writable } from '../../base/writable.ts';

/** The traffic of one key since the last call: payloads without headers. Plain data. */
export interface KeyTraffic extends TrafficTotals {
  /** The node key in hex. */
  readonly key: string;
}

/** Largest number of keys whose traffic is kept until it is taken: more than can leave between two calls. */
const MOST_KEYS = 65_536;

/**
 * Adds up the traffic of sessions by key since it was last taken. A session that ends adds its rest, so that nothing is
 * lost between two calls.
 */
export class KeyTrafficTable {
  readonly #byKey = new Map<string, Writable<KeyTraffic>>();

  /** Adds traffic of `key`. It is lost when there are too many keys, which needs many new keys per second. */
  add(key: string, totals: TrafficTotals): void {
    const known = this.#byKey.get(key);
    if (known === undefined) {
      if (this.#byKey.size < MOST_KEYS) this.#byKey.set(key, { key, ...totals });
      return;
    }
    known.receivedPackets += totals.receivedPackets;
    known.receivedBytes += totals.receivedBytes;
    known.sentPackets += totals.sentPackets;
    known.sentBytes += totals.sentBytes;
  }

  /** Returns all that was added since the last call. */
  take(): KeyTraffic[] {
    const all = [...this.#byKey.values()];
    this.#byKey.clear();
    return all;
  }
}
