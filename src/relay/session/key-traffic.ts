import type { TrafficTotals } from './traffic.ts';

/** What one key has sent and received since it was last asked: payloads alone. Plain data. */
export interface KeyTraffic extends TrafficTotals {
  /** The node key in hex. */
  readonly key: string;
}

/** Keys whose traffic is kept until it is taken: more than can leave between two looks. */
const MOST_KEYS = 65_536;

/**
 * Adds up, by key, what sessions have done since it was last taken. A session that ends hands over its rest, so that
 * nothing is lost between two looks.
 */
export class KeyTrafficTable {
  readonly #byKey = new Map<string, Writable<KeyTraffic>>();

  /** Adds what `key` has done. It is lost when there are too many keys, which needs many new keys a second. */
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

  /** All that was added since the last call. */
  take(): KeyTraffic[] {
    const all = [...this.#byKey.values()];
    this.#byKey.clear();
    return all;
  }
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };
