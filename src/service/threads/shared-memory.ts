import { SharedPlaces } from '../../relay/door/shared-places.ts';
import { SharedUse } from '../../relay/fairness/shared-use.ts';
import type { RelayPorts } from '../../relay/relay.ts';
import { SharedOrder } from '../../relay/threads/shared-order.ts';

/** Memory that all relay threads of the process have. */
export interface ThreadMemory {
  /** Memory of a `SharedOrder`. */
  readonly order: SharedArrayBuffer;
  /** Memory of `SharedPlaces`. */
  readonly places: SharedArrayBuffer;
  /** Memory of `SharedUse`. */
  readonly use: SharedArrayBuffer;
}

/** Returns memory for this number of threads; null for one, which shares nothing. */
export function createThreadMemory(threads: number): ThreadMemory | null {
  if (threads === 1) return null;
  return {
    order: SharedOrder.createMemory(),
    places: SharedPlaces.createMemory(threads),
    use: SharedUse.createMemory(threads),
  };
}

/** Returns the ports of a relay that use this memory; `index` is that of its thread. */
export function sharedPorts(
  memory: ThreadMemory | null,
  index: number,
): Pick<RelayPorts, 'sharedOrder' | 'sharedPlaces' | 'sharedUse'> {
  if (memory === null) return {};
  return {
    sharedOrder: new SharedOrder(memory.order),
    sharedPlaces: new SharedPlaces(memory.places, index),
    sharedUse: new SharedUse(memory.use, index),
  };
}
