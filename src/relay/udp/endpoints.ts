import type { KeyObject } from 'node:crypto';
import { sharedDiscoKey } from '../../wire/disco.ts';
import { isZeroKey } from '../../wire/keys.ts';
import { IDLE_MS, UNBOUND_LIFE_MS, type UdpRelayLimits } from './limits.ts';
import { NodeTrafficTable, type NodeTraffic } from './node-traffic.ts';
import { NO_NODE, type Nodes } from './nodes.ts';
import { SIDE_WORDS, SideWord } from './port.ts';
import type { VniPool } from './vni-pool.ts';

/** Reasons for a request without an endpoint. The names are metric labels. The client gets no answer. */
export type AllocationRefusal =
  /** An invalid key, the same key twice, or our own key. */
  | 'bad_key'
  /** The request was sealed with neither of the two keys. */
  | 'foreign_key'
  | 'allocation_rate'
  | 'node_limit'
  | 'pair_limit'
  | 'endpoint_limit';

/** A permitted request for an endpoint. */
export interface Allocation {
  /** Disco keys of the two clients, in any order. */
  readonly clientKeys: readonly [Buffer, Buffer];
  /** The one of them that sealed the request. */
  readonly askingKey: Buffer;
  /** The requesting node, by a name that only this node has. */
  readonly node: string;
  /** The node that has the other key; null when it is unknown. */
  readonly otherNode: string | null;
}

/** Parts of the relay that the table needs. */
export interface EndpointParts {
  readonly serverPrivate: KeyObject;
  readonly serverPublic: Buffer;
  readonly pool: VniPool;
  readonly nodes: Nodes;
  /** The sides' addresses (port). */
  readonly sides: Int32Array;
  readonly limits: UdpRelayLimits;
}

/** All endpoints of the relay, in arrays by slot, or by side: `2 * slot + 0` and `+ 1` (peer relay reference §5.1). */
export class Endpoints {
  limits: UdpRelayLimits;
  /** Given to the endpoint that was made last; of two endpoints, the later has the higher. */
  lamportId = 0;
  readonly lamportIds: Float64Array;
  readonly allocatedAt: Float64Array;
  /** By slot: the node that first requested the endpoint. */
  readonly askers: Int32Array;
  /** By side: the client's disco key, and the key that it shares with the relay. */
  readonly keys: (Buffer | null)[];
  readonly sharedKeys: (Buffer | null)[];
  /** By side: the generation of the present handshake, or 0. */
  readonly generations: Uint32Array;
  readonly lastSeen: Float64Array;
  /** By side: when it sent its latest bind, and when it was bound; −1: never. */
  readonly bindAt: Float64Array;
  readonly boundAt: Float64Array;
  readonly packets: Float64Array;
  readonly bytes: Float64Array;
  /** By side: the part of packets and bytes that {@link traffic} already has. */
  readonly settledPackets: Float64Array;
  readonly settledBytes: Float64Array;
  readonly traffic: NodeTrafficTable;
  /** By side: the node of the side. */
  readonly sideNodes: Int32Array;
  /** By side: the address before the latest bind, in {@link SIDE_WORDS} words, and until when it is good as a source. */
  readonly previous: Int32Array;
  readonly previousUntil: Float64Array;
  readonly #parts: EndpointParts;
  readonly #slots = new Map<string, number>();

  constructor(parts: EndpointParts) {
    this.#parts = parts;
    this.limits = parts.limits;
    const { slots } = parts.pool;
    const perSide = (): Float64Array => new Float64Array(2 * slots);
    this.lamportIds = new Float64Array(slots);
    this.allocatedAt = new Float64Array(slots);
    this.askers = new Int32Array(slots).fill(NO_NODE);
    this.keys = new Array<Buffer | null>(2 * slots).fill(null);
    this.sharedKeys = new Array<Buffer | null>(2 * slots).fill(null);
    this.generations = new Uint32Array(2 * slots);
    [this.lastSeen, this.bindAt, this.boundAt] = [perSide(), perSide(), perSide()];
    [this.packets, this.bytes, this.previousUntil] = [perSide(), perSide(), perSide()];
    [this.settledPackets, this.settledBytes] = [perSide(), perSide()];
    this.traffic = new NodeTrafficTable(parts.nodes);
    this.sideNodes = new Int32Array(2 * slots).fill(NO_NODE);
    this.previous = new Int32Array(2 * slots * SIDE_WORDS);
  }

  /** Number of endpoints. */
  get size(): number {
    return this.#slots.size;
  }

  /** The slots in use. */
  slots(): Iterable<number> {
    return this.#slots.values();
  }

  /** Returns whether a side is bound to an address. */
  isBound(side: number): boolean {
    return this.#parts.sides[side * SIDE_WORDS + SideWord.FamilyAndPort] !== 0;
  }

  /** Returns whether traffic passes: both sides are bound. */
  isOpen(slot: number): boolean {
    return this.isBound(2 * slot) && this.isBound(2 * slot + 1);
  }

  /** Returns the side of an endpoint that a disco key belongs to, or −1. */
  sideOf(slot: number, key: Buffer): number {
    if (this.keys[2 * slot]!.equals(key)) return 2 * slot;
    return this.keys[2 * slot + 1]!.equals(key) ? 2 * slot + 1 : -1;
  }

  /**
   * Returns the slot of the endpoint of a pair, known or new; or why there is none (peer relay reference §5.2). A known
   * endpoint is returned unchanged, with its times.
   */
  allocate(request: Allocation, now: number): number | AllocationRefusal {
    const { clientKeys, askingKey } = request;
    const [first, second] = clientKeys;
    const order = Buffer.compare(first, second);
    const isOwn = clientKeys.some((key) => key.equals(this.#parts.serverPublic));
    if (order === 0 || isOwn || isZeroKey(first) || isZeroKey(second)) return 'bad_key';
    if (!askingKey.equals(first) && !askingKey.equals(second)) return 'foreign_key';
    const keys = order < 0 ? ([first, second] as const) : ([second, first] as const);
    const known = this.#slots.get(pairName(keys));
    if (known !== undefined) {
      this.#learnNodes(known, request, now);
      return known;
    }
    return this.#make(keys, request, now);
  }

  /**
   * Restores an endpoint of an earlier process. The caller has taken its slot and fills in the rest. Returns false when
   * the pair already has an endpoint.
   */
  restore(slot: number, keys: readonly [Buffer, Buffer], sharedKeys: readonly [Buffer, Buffer]): boolean {
    const name = pairName(keys);
    if (this.#slots.has(name)) return false;
    this.#slots.set(name, slot);
    for (const i of [0, 1] as const) {
      this.keys[2 * slot + i] = keys[i];
      this.sharedKeys[2 * slot + i] = sharedKeys[i];
    }
    return true;
  }

  /** Sets the nodes of an endpoint. The limits count it for `asker`. */
  setNodes(slot: number, asker: number, nodes: readonly [number, number]): void {
    this.askers[slot] = asker;
    this.#parts.nodes.use(asker);
    for (const i of [0, 1] as const) this.#setSideNode(2 * slot + i, nodes[i]);
  }

  /** Returns whether a node requested the endpoint or is one of its sides. */
  isOf(slot: number, node: number): boolean {
    const { askers, sideNodes } = this;
    if (node === NO_NODE) return false;
    return askers[slot] === node || sideNodes[2 * slot] === node || sideNodes[2 * slot + 1] === node;
  }

  /** Ends all endpoints of a node. Returns how many. */
  revoke(node: number): number {
    let ended = 0;
    if (node === NO_NODE) return 0;
    for (const slot of [...this.#slots.values()]) {
      if (!this.isOf(slot, node)) continue;
      this.end(slot);
      ended++;
    }
    return ended;
  }

  /** Ends the endpoints that are too old (peer relay reference §5.6). */
  tick(now: number): void {
    for (const slot of this.#slots.values()) if (this.#isOver(slot, now)) this.end(slot);
  }

  /** Ends an endpoint and frees its slot. {@link takeTraffic} still returns its traffic. */
  end(slot: number): void {
    this.#settle(slot);
    const { sides, nodes, pool } = this.#parts;
    this.#slots.delete(pairName([this.keys[2 * slot]!, this.keys[2 * slot + 1]!]));
    nodes.release(this.askers[slot]!);
    this.askers[slot] = NO_NODE;
    for (const side of [2 * slot, 2 * slot + 1]) {
      nodes.release(this.sideNodes[side]!);
      this.sideNodes[side] = NO_NODE;
      this.keys[side] = null;
      this.sharedKeys[side] = null;
      this.generations[side] = 0;
      this.previousUntil[side] = 0;
      sides.fill(0, side * SIDE_WORDS, (side + 1) * SIDE_WORDS);
    }
    pool.release(slot);
  }

  /** Returns what each node has sent and received since the last call. */
  takeTraffic(): NodeTraffic[] {
    for (const slot of this.#slots.values()) this.#settle(slot);
    return this.traffic.take();
  }

  /**
   * Adds the traffic of an endpoint to its nodes. A side without a known node counts for the node that requested the
   * endpoint, as with the limits.
   */
  #settle(slot: number): void {
    const { packets, bytes, settledPackets, settledBytes, sideNodes, askers } = this;
    for (const side of [2 * slot, 2 * slot + 1]) {
      if (packets[side] === settledPackets[side]) continue;
      const sender = sideNodes[side] === NO_NODE ? askers[slot]! : sideNodes[side]!;
      const newBytes = bytes[side]! - settledBytes[side]!;
      this.traffic.add(sender, sideNodes[side ^ 1]!, newBytes, packets[side]! - settledPackets[side]!);
      settledPackets[side] = packets[side]!;
      settledBytes[side] = bytes[side]!;
    }
  }

  /** Returns when anything last came from either client, in milliseconds. */
  lastActivity(slot: number): number {
    return Math.max(this.allocatedAt[slot]!, this.lastSeen[2 * slot]!, this.lastSeen[2 * slot + 1]!);
  }

  #make(keys: readonly [Buffer, Buffer], request: Allocation, now: number): number | AllocationRefusal {
    const { nodes, pool, serverPrivate } = this.#parts;
    const asker = nodes.numberOf(request.node, now);
    if (asker === NO_NODE) return 'endpoint_limit';
    if (!nodes.mayAllocate(asker, now)) return 'allocation_rate';
    const other = request.otherNode === null ? NO_NODE : nodes.numberOf(request.otherNode, now);
    const refusal = this.#makeRoom(asker, other, now);
    if (refusal !== null) return refusal;
    const sharedKeys = keys.map((key) => sharedDiscoKey(serverPrivate, key));
    const [sharedFirst, sharedSecond] = sharedKeys;
    if (!sharedFirst || !sharedSecond) return 'bad_key';
    const slot = pool.take();
    if (slot < 0) return 'endpoint_limit';
    this.restore(slot, [Buffer.from(keys[0]), Buffer.from(keys[1])], [sharedFirst, sharedSecond]);
    this.lamportId++;
    this.lamportIds[slot] = this.lamportId;
    this.allocatedAt[slot] = now;
    for (const side of [2 * slot, 2 * slot + 1]) {
      this.lastSeen[side] = now;
      this.bindAt[side] = -1;
      this.boundAt[side] = -1;
      this.packets[side] = this.settledPackets[side] = 0;
      this.bytes[side] = this.settledBytes[side] = 0;
    }
    const isFirst = this.keys[2 * slot]!.equals(request.askingKey);
    this.setNodes(slot, asker, isFirst ? [asker, other] : [other, asker]);
    return slot;
  }

  /** Records the node of the second client when it requests the endpoint too. */
  #learnNodes(slot: number, { askingKey, node }: Allocation, now: number): void {
    const side = this.sideOf(slot, askingKey);
    if (this.sideNodes[side] !== NO_NODE) return;
    this.#setSideNode(side, this.#parts.nodes.numberOf(node, now));
  }

  #setSideNode(side: number, node: number): void {
    this.#parts.nodes.use(node);
    this.sideNodes[side] = node;
  }

  /**
   * Ends, at each limit that is reached, the endpoint that was silent for longest. Returns the refusal when all are in
   * use.
   */
  #makeRoom(asker: number, other: number, now: number): AllocationRefusal | null {
    const { endpoints, endpointsPerNode, endpointsPerPair } = this.limits;
    const ofNode = new Room(endpointsPerNode);
    const ofPair = new Room(endpointsPerPair);
    const ofAll = new Room(Math.min(endpoints, this.#parts.pool.slots));
    for (const slot of this.#slots.values()) {
      const activity = this.lastActivity(slot);
      if (other !== NO_NODE && this.#isBetween(slot, asker, other)) ofPair.add(slot, activity);
      if (this.askers[slot] === asker) ofNode.add(slot, activity);
      ofAll.add(slot, activity);
    }
    for (const [room, refusal] of [
      [ofPair, 'pair_limit'],
      [ofNode, 'node_limit'],
      [ofAll, 'endpoint_limit'],
    ] as const) {
      if (!room.isFull) continue;
      // An endpoint that was ended for one limit may also make room for the next one.
      if (room.oldest >= 0 && this.keys[2 * room.oldest] === null) continue;
      if (room.oldest < 0 || now - room.oldestActivity < IDLE_MS) return refusal;
      this.end(room.oldest);
    }
    return null;
  }

  #isBetween(slot: number, a: number, b: number): boolean {
    const first = this.sideNodes[2 * slot];
    const second = this.sideNodes[2 * slot + 1];
    return (first === a && second === b) || (first === b && second === a);
  }

  #isOver(slot: number, now: number): boolean {
    if (!this.isOpen(slot)) return now - this.allocatedAt[slot]! >= UNBOUND_LIFE_MS;
    const silentSince = Math.min(this.lastSeen[2 * slot]!, this.lastSeen[2 * slot + 1]!);
    return now - silentSince >= this.limits.idleSeconds * 1000;
  }
}

/** Counts endpoints towards a limit and finds the one that was silent for longest. */
class Room {
  readonly #limit: number;
  #count = 0;
  oldest = -1;
  oldestActivity = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get isFull(): boolean {
    return this.#count >= this.#limit;
  }

  add(slot: number, activity: number): void {
    this.#count++;
    if (this.oldest >= 0 && activity >= this.oldestActivity) return;
    this.oldest = slot;
    this.oldestActivity = activity;
  }
}

function pairName(keys: readonly [Buffer, Buffer]): string {
  return keys[0].toString('latin1') + keys[1].toString('latin1');
}
