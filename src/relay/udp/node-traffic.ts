import { NO_NODE, type Nodes } from './nodes.ts';
import type { Writable } from '../../base/writable.ts';

/** UDP payloads that a node has sent and received through the UDP relay since the last request. Plain data. */
export interface NodeTraffic {
  /** The name that the node has in the rules. */
  readonly node: string;
  readonly sentBytes: number;
  readonly sentPackets: number;
  readonly receivedBytes: number;
  readonly receivedPackets: number;
}

/** Nodes whose traffic is kept until it is taken. */
const MOST_NODES = 65_536;

/**
 * Adds up by node what its endpoints have forwarded. It reads endpoints when the totals are taken and when they end, so
 * that a packet costs nothing.
 */
export class NodeTrafficTable {
  readonly #byNode = new Map<string, Writable<NodeTraffic>>();
  readonly #nodes: Nodes;

  constructor(nodes: Nodes) {
    this.#nodes = nodes;
  }

  /** Adds traffic from `sender` to `receiver`. Either may be unknown. */
  add(sender: number, receiver: number, bytes: number, packets: number): void {
    const from = this.#of(sender);
    if (from !== null) {
      from.sentBytes += bytes;
      from.sentPackets += packets;
    }
    const to = this.#of(receiver);
    if (to === null) return;
    to.receivedBytes += bytes;
    to.receivedPackets += packets;
  }

  /** Returns all that was added since the last call. */
  take(): NodeTraffic[] {
    const all = [...this.#byNode.values()];
    this.#byNode.clear();
    return all;
  }

  #of(number: number): Writable<NodeTraffic> | null {
    const node = number === NO_NODE ? null : this.#nodes.nameOf(number);
    if (node === null) return null;
    const known = this.#byNode.get(node);
    if (known !== undefined || this.#byNode.size >= MOST_NODES) return known ?? null;
    const added = { node, sentBytes: 0, sentPackets: 0, receivedBytes: 0, receivedPackets: 0 };
    this.#byNode.set(node, added);
    return added;
  }
}
