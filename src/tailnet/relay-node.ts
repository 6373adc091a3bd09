import type { Clock } from '../base/clock.ts';
import { internalError } from '../base/errors.ts';
import { pause } from '../base/pause.ts';
import { PacketKind } from '../observe/counters.ts';
import { Delivery, type NodeKey, type Presence, type Recipient, type Source } from '../relay/routing/recipient.ts';
import { PresentFlag } from '../wire/mesh-frames.ts';
import type { Router } from '../relay/routing/router.ts';
import type { Peer } from '../relay/routing/peer.ts';
import { discoSender, openDisco, sealDisco, sharedDiscoKey } from '../wire/disco.ts';
import {
  decodeDiscoMessage,
  DiscoType,
  encodeDiscoMessage,
  type AllocateRequest,
  type DiscoMessage,
} from '../wire/disco-messages.ts';
import { createAllocationCounts, type AllocationCounts, type AllocationOutcome } from './allocation-outcome.ts';
import { EarlyRequests } from './early-requests.ts';
import type { EndpointTable } from './endpoint-table.ts';
import { hasExpired, type NetmapPeer } from './netmap.ts';
import type { TailnetNode } from './node.ts';
import { RequestRate } from './request-rate.ts';

/** Largest number of requests that wait for the UDP thread, which answers within a millisecond. */
const PENDING = 1000;
/** Number of shared keys that are kept: each costs an X25519. */
const SHARED_KEYS = 1024;
/**
 * After a change of the node key, clients with an older network map still use the old key. It is kept for this time.
 */
const OLD_KEY_MS = 60_000;
/** Time until the node enters the router again after other connections with its key have crowded it out. */
const CROWDED_OUT_MS = 60_000;
/** The address that means a DERP region in a pong; the port is the number of the region. */
const DERP_IP = '127.3.3.40';
const DISABLING_ATTRIBUTE = 'disable-relay-server';

/** The last request of a node. */
export interface LastRequest {
  readonly outcome: AllocationOutcome;
  /** Milliseconds of the clock. */
  readonly at: number;
}

export interface RelayNodeParts {
  readonly node: TailnetNode;
  readonly router: Router;
  readonly table: EndpointTable;
  readonly clock: Clock;
  /** Returns whether a node key has used up its quota. */
  readonly isOverQuota: (key: Buffer) => boolean;
  /** Returns whether an operator or a deny list denies a node key. */
  readonly isDenied: (key: Buffer) => boolean;
  /** Called for each unanswered request, with the reason and the sender. */
  readonly refused: (reason: AllocationOutcome, who: string) => void;
}

/**
 * A node of a tailnet as its peers see it: they reach it by its node key in the DERP region that is its home, which is this
 * relay, and ask it for endpoints of the peer relay (peer-relay reference §5.2, §10.3, §11). The router proves which node
 * key a packet comes from, so that a request may be sealed with a disco key that the network map does not know yet
 * (addendum E5); a packet that another relay of the region forwards must come with the disco key of the map instead. A node
 * that may not ask gets no answer.
 */
export class RelayNode implements Recipient {
  readonly counts: AllocationCounts = createAllocationCounts();
  readonly #parts: RelayNodeParts;
  readonly #rate = new RequestRate();
  readonly #early = new EarlyRequests();
  /** By disco key in hex, in the order of use. */
  readonly #shared = new Map<string, Buffer>();
  /** By the id of the node. */
  readonly #last = new Map<number, LastRequest>();
  /** Nodes that may have endpoints: those that requested one, and those on the other side. */
  readonly #asked = new Set<number>();
  readonly #others = new Set<number>();
  #peer: Peer | null = null;
  readonly #old = new Set<Peer>();
  #pending = 0;
  readonly #closed = new AbortController();

  constructor(parts: RelayNodeParts) {
    this.#parts = parts;
  }

  /** Registers the node key with the router: packets for it come here from now on. */
  open(): void {
    const { node, router } = this.#parts;
    this.#peer = router.register(node.state.node.publicKey, this);
    if (!node.isKeyInUse) return;
    node.isKeyInUse = false;
    node.listener.changed();
  }

  /** Leaves the router. */
  close(): void {
    const { router } = this.#parts;
    this.#closed.abort();
    for (const peer of [this.#peer, ...this.#old]) if (peer !== null) router.unregister(peer, this);
    this.#old.clear();
    this.#peer = null;
  }

  /** The node key has changed. The old one stays for a minute. */
  keyChanged(): void {
    const old = this.#peer;
    this.open();
    if (old === null) return;
    this.#old.add(old);
    const { clock, router } = this.#parts;
    void pause(clock, OLD_KEY_MS, this.#closed.signal).then(() => {
      if (this.#old.delete(old)) router.unregister(old, this);
    });
  }

  /**
   * Takes over an endpoint of an earlier process. It ends, like others, when its nodes may no longer use the relay.
   * Takes names of the endpoint table; null and names of other tailnets are ignored.
   */
  tookOver(asker: string | null, sides: readonly (string | null)[]): void {
    for (const name of [asker, ...sides]) {
      const id = name === null ? null : this.idOf(name);
      if (id !== null) (name === asker ? this.#asked : this.#others).add(id);
    }
  }

  /**
   * The network map has changed: ends the endpoints of nodes that may not use the relay any more, and answers those that
   * asked before they were in the map.
   */
  netmapChanged(): void {
    const { node, clock } = this.#parts;
    const { netmap } = node;
    // Before the first map there are no nodes to compare.
    if (netmap.self === null) return;
    this.endForbidden();
    this.#rate.keep((id) => netmap.peer(id) !== null);
    for (const id of this.#last.keys()) if (netmap.peer(id) === null) this.#last.delete(id);
    const early = this.#early.take((key) => netmap.peerOf(key) !== null, clock.now);
    for (const { source, destination, packet } of early)
      this.deliver(source, destination, packet, 0, packet.length, PacketKind.Disco);
  }

  /**
   * Ends the endpoints of nodes that are gone, expired or denied, and those that a node without a grant requested. The
   * attribute that disables the relay ends all.
   */
  endForbidden(): void {
    const { node, table } = this.#parts;
    const { netmap } = node;
    if (netmap.self === null) return;
    const now = Date.now();
    const isDisabled = netmap.self.attributes.has(DISABLING_ATTRIBUTE);
    const revoked = new Set<number>();
    for (const id of [...this.#asked, ...this.#others]) {
      const peer = netmap.peer(id);
      if (isDisabled || peer === null || hasExpired(peer, now) || this.#isDenied(peer)) revoked.add(id);
      else if (this.#asked.has(id) && netmap.judge(peer) !== 'granted') revoked.add(id);
    }
    for (const id of revoked) {
      this.#asked.delete(id);
      this.#others.delete(id);
    }
    if (revoked.size > 0) table.revoke([...revoked].map((id) => this.tableName(id)));
  }

  /** Ends the endpoints of a node. It may request new ones. */
  revoke(nodeKey: Buffer): void {
    const peer = this.#parts.node.netmap.peerOf(nodeKey);
    if (peer !== null) this.#parts.table.revoke([this.tableName(peer.id)]);
  }

  /** Returns the node key of a name in the endpoint table, or null. */
  keyOf(name: string): Buffer | null {
    const id = this.idOf(name);
    return id === null ? null : (this.#parts.node.netmap.peer(id)?.nodeKey ?? null);
  }

  /** Returns the last request of a node, or null. */
  lastRequest(id: number): LastRequest | null {
    return this.#last.get(id) ?? null;
  }

  /** Returns the name of a node in the endpoint table. */
  tableName(id: number): string {
    return `${this.#parts.node.settings.name}/${id}`;
  }

  /** Returns the id of the node with this name in the endpoint table; null when it belongs to another tailnet. */
  idOf(tableName: string): number | null {
    const prefix = this.tableName(0).slice(0, -1);
    return tableName.startsWith(prefix) ? Number(tableName.slice(prefix.length)) : null;
  }

  deliver(source: Source, destination: NodeKey, buffer: Buffer, from: number, to: number, kind: PacketKind): Delivery {
    try {
      this.#receive(source, destination, buffer, from, to, kind);
    } catch (error) {
      internalError('tailnet', error);
    }
    return Delivery.Taken;
  }

  #receive(source: Source, destination: NodeKey, buffer: Buffer, from: number, to: number, kind: PacketKind): void {
    const { node, clock } = this.#parts;
    const sender = kind === PacketKind.Disco ? discoSender(buffer, from, to) : null;
    if (sender === null) {
      this.#end('not_disco', null);
      return;
    }
    const peer = node.netmap.peerOf(source.key);
    if (peer === null || hasExpired(peer, Date.now())) {
      if (peer === null && source.isProved) this.#early.keep(source, destination, buffer, from, to, clock.now);
      this.#end('unknown_node', null);
      return;
    }
    if (!source.isProved && node.netmap.peerOfDisco(sender) !== peer) {
      this.#end('unproved_key', peer);
      return;
    }
    if (!this.#rate.take(peer.id, clock.now)) {
      this.#end('request_rate', peer);
      return;
    }
    const sharedKey = this.#sharedKey(sender);
    if (sharedKey === null) {
      this.#end('bad_key', peer);
      return;
    }
    const plain = openDisco(sharedKey, buffer, from, to);
    if (plain === null) {
      this.#end('bad_box', peer);
      return;
    }
    const message = decodeDiscoMessage(plain);
    // The key of a forwarded packet is valid only during this call.
    const key = Buffer.from(source.key);
    const reply = (answer: DiscoMessage): void => {
      this.#send(destination, key, sealDisco(node.state.disco, sharedKey, encodeDiscoMessage(answer)));
    };
    if (message?.type === DiscoType.Ping) {
      const { transactionId } = message;
      reply({ type: DiscoType.Pong, transactionId, ip: DERP_IP, port: node.settings.region });
      this.#end('pong', null);
      return;
    }
    if (message?.type !== DiscoType.AllocateRequest) {
      this.#end('bad_message', peer);
      return;
    }
    // The bytes are valid only during this call.
    void this.#allocate(peer, message, Buffer.from(sender), reply);
  }

  async #allocate(
    peer: NetmapPeer,
    request: AllocateRequest,
    askingKey: Buffer,
    reply: (answer: DiscoMessage) => void,
  ): Promise<void> {
    const { node, table } = this.#parts;
    const { clientKeys, generation } = request;
    const otherKey = clientKeys[0].equals(askingKey) ? clientKeys[1] : clientKeys[0];
    const other = node.netmap.peerOfDisco(otherKey);
    const refusal = this.#refusalOf(peer, other);
    if (refusal !== null) {
      this.#end(refusal, peer);
      return;
    }
    this.#pending++;
    try {
      const endpoint = await table.allocate({
        clientKeys,
        askingKey,
        node: this.tableName(peer.id),
        otherNode: other === null ? null : this.tableName(other.id),
      });
      if (typeof endpoint === 'string') {
        this.#end(endpoint, peer);
        return;
      }
      const addresses = table.addresses();
      if (addresses.length === 0) {
        this.#end('no_address', peer);
        return;
      }
      this.#asked.add(peer.id);
      if (other !== null) this.#others.add(other.id);
      const [first, second] = endpoint.clientKeys;
      reply({
        type: DiscoType.AllocateResponse,
        generation,
        endpoint: {
          ...endpoint,
          serverDisco: Buffer.from(endpoint.serverDisco),
          clientKeys: [Buffer.from(first), Buffer.from(second)],
          lamportId: BigInt(endpoint.lamportId),
          addresses,
        },
      });
      this.#end('granted', peer);
    } catch {
      this.#end('failed', peer);
    } finally {
      this.#pending--;
    }
  }

  /** Returns why `peer` gets no endpoint with `other`, which is null when it is unknown; or null. */
  #refusalOf(peer: NetmapPeer, other: NetmapPeer | null): AllocationOutcome | null {
    const { node, table } = this.#parts;
    const { netmap } = node;
    if (netmap.self?.attributes.has(DISABLING_ATTRIBUTE) === true) return 'disabled';
    const grant = netmap.judge(peer);
    if (grant !== 'granted') return grant === 'none' ? 'no_grant' : 'other_family_grant';
    // A node must not get back through its partner what it has lost.
    for (const one of other === null ? [peer] : [peer, other]) {
      if (this.#isDenied(one)) return 'denied';
      if (one.nodeKey !== null && this.#parts.isOverQuota(one.nodeKey)) return 'over_quota';
      if (hasExpired(one, Date.now())) return 'expired';
    }
    if (table.addresses().length === 0) return 'no_address';
    return this.#pending >= PENDING ? 'busy' : null;
  }

  #isDenied({ nodeKey }: NetmapPeer): boolean {
    return nodeKey !== null && this.#parts.isDenied(nodeKey);
  }

  #sharedKey(discoKey: Buffer): Buffer | null {
    const name = discoKey.toString('hex');
    const known = this.#shared.get(name);
    this.#shared.delete(name);
    const key = known ?? sharedDiscoKey(this.#parts.node.state.disco.privateKey, discoKey);
    if (key === null) return null;
    const [oldest] = this.#shared.keys();
    if (this.#shared.size >= SHARED_KEYS && oldest !== undefined) this.#shared.delete(oldest);
    this.#shared.set(name, key);
    return key;
  }

  #send(from: NodeKey, to: Buffer, packet: Buffer): void {
    const ours =
      this.#peer?.key.equals(from.key) === true ? this.#peer : [...this.#old].find(({ key }) => key.equals(from.key));
    if (ours === undefined) return;
    // A destination that is full or has left sends its request again.
    this.#parts.router.route(ours, Buffer.concat([to, packet]), 0, to.length, to.length + packet.length);
  }

  #end(outcome: AllocationOutcome, peer: NetmapPeer | null): void {
    this.counts[outcome]++;
    if (peer !== null) this.#last.set(peer.id, { outcome, at: this.#parts.clock.now });
    if (outcome !== 'granted' && outcome !== 'pong' && outcome !== 'not_disco')
      this.#parts.refused(outcome, peer === null ? 'an unknown node' : peer.name);
  }

  presence(): Presence {
    return { ip: '', port: 0, flags: PresentFlag.Regular, app: '' };
  }

  /** Does nothing: this is not a connection that another relay could end. */
  closePeer(): void {}

  /** Never full. */
  whenTaking(): void {}

  peerGone(): void {}

  health(): void {}

  /** Too many other connections use our node key. Says so, and enters the router again after a minute. */
  crowdedOut(): void {
    const { node, router, clock } = this.#parts;
    if (this.#peer === null) return;
    router.unregister(this.#peer, this);
    this.#peer = null;
    node.isKeyInUse = true;
    node.listener.changed();
    const { signal } = this.#closed;
    void pause(clock, CROWDED_OUT_MS, signal, () => this.#peer !== null).then(() => {
      if (!signal.aborted && this.#peer === null) this.open();
    });
  }
}
