/**
 * Where the destination of a packet is looked up. The router finds the peer of a key in `peer-table.ts` and gives the packet
 * to its connection, or, when the key is connected elsewhere, to a forwarder of `remote-keys.ts` (`recipient.ts` is the one
 * interface that carries every packet). A key with several connections is in `duplicates.ts`; `contacts.ts` remembers which
 * clients must get PeerGone when a key leaves, and `presence.ts` is the interface of clients that watch all keys.
 */
import { KEY_BYTES, looksLikeDisco } from '../../wire/frames.ts';
import { DropReason, PacketKind, type Counters } from '../../observe/counters.ts';
import { Contacts } from './contacts.ts';
import { type DuplicatePolicy, Speech } from './duplicates.ts';
import { type EventOrder, LocalOrder } from './event-order.ts';
import { ForwardedSource } from './forwarded-source.ts';
import { Peer } from './peer.ts';
import { PeerTable } from './peer-table.ts';
import type { PresenceWatcher } from './presence.ts';
import {
  Delivery,
  type NodeKey,
  type PacketReceiver,
  type Recipient,
  type Source,
  type WaitingSender,
} from './recipient.ts';
import { Added, RemoteKeys, Removed, type Way } from './remote-keys.ts';

/** The result of routing a packet: a {@link Delivery}, or why there was no receiver. */
export const RouteResult = {
  Taken: 0,
  Dropped: 1,
  Full: 2,
  /** The destination is not here. */
  Unknown: 3,
  /** The destination is not here, and the sender must get PeerGone (§4.7). */
  NotHere: 4,
  /** The destination has several connections, which are all disabled (§4.4). */
  AllDisabled: 5,
} as const;
export type RouteResult = (typeof RouteResult)[keyof typeof RouteResult];

const DUPLICATE_PROBLEM =
  'Another connection to this relay uses the same node key. Was this machine cloned, state folder included? ' +
  'Only one of the connections receives packets.';

/** Limits of one key and one client. */
export interface RouterLimits {
  /** Largest number of connections of one key, at least 2. The oldest is ended for a new one. */
  readonly connectionsPerKey: number;
  /** Largest number of peers that are recorded for each client, to tell it when one of them has left. */
  readonly contactsPerClient: number;
}

/** Receives events of this router's connections, for other threads. */
export interface ConnectionListener {
  /** `connection` was registered under the key of `peer`; `joined` is the number of the event. */
  joined(peer: Peer, connection: Recipient, joined: number): void;
  left(peer: Peer, connection: Recipient): void;
  /** One of several connections of a key has sent a frame that changes something. */
  spoke(peer: Peer, connection: Recipient, speech: Speech, at: number): void;
  /** A link of this thread leads to the key that is the 32 bytes at `at`, and none did before. */
  forwarded(buffer: Buffer, at: number): void;
  /** No link of this thread leads to the key at `at` any more. */
  unforwarded(buffer: Buffer, at: number): void;
  /**
   * A key was looked up that is not in the table. Returns true when keys were added meanwhile, so that the look-up is
   * repeated.
   */
  missed(): boolean;
}

/**
 * Registers connections and forwarders by key, and routes packets between them (protocol reference §4.1–§4.4, §4.10).
 */
export class Router {
  /** The keys that are connected to this relay, and those of others whose packets have reached one of these. */
  readonly table: PeerTable = new PeerTable();
  /** The keys that are connected elsewhere; change them with {@link addForwarder} and {@link removeForwarder}. */
  readonly remote: RemoteKeys = new RemoteKeys();
  duplicatePolicy: DuplicatePolicy;
  /** Null when this thread is the only one. */
  listener: ConnectionListener | null = null;
  readonly #order: EventOrder;
  readonly #contacts: Contacts;
  readonly #connectionsPerKey: number;
  readonly #counters: Counters;
  readonly #watchers = new Set<PresenceWatcher>();
  readonly #forwardedSource = new ForwardedSource();
  readonly #remoteDestination = new ForwardedSource();

  constructor(
    counters: Counters,
    duplicatePolicy: DuplicatePolicy,
    limits: RouterLimits,
    order: EventOrder = new LocalOrder(),
  ) {
    this.#counters = counters;
    this.#order = order;
    this.duplicatePolicy = duplicatePolicy;
    this.#contacts = new Contacts(limits.contactsPerClient);
    this.#connectionsPerKey = limits.connectionsPerKey;
  }

  /**
   * Registers a connection under its key and returns the peer of the key. A connection that was alone with the key is
   * told about the second one. When the key has too many connections, the oldest is ended. `connectionsPerKey` is the
   * limit of this key from now on; null: the limit of all keys.
   */
  register(key: Buffer, connection: Recipient, connectionsPerKey: number | null = null): Peer {
    const joined = this.#order.next();
    const peer = this.#enter(key, connection, joined);
    peer.mostConnections = connectionsPerKey;
    this.#counters.connections++;
    this.listener?.joined(peer, connection, joined);
    this.#entered(peer, connection);
    return peer;
  }

  /** The same for a connection of another thread, which joined there as event `joined`. */
  registerElsewhere(key: Buffer, connection: Recipient, joined: number, connectionsPerKey: number | null): Peer {
    const peer = this.#enter(key, connection, joined);
    peer.mostConnections = connectionsPerKey;
    this.#entered(peer, connection);
    return peer;
  }

  /**
   * Tells `newest` when it is not alone with its key; the others know that. Called once frames can be written to it.
   */
  announceDuplicate(peer: Peer, newest: Recipient): void {
    if (peer.size > 1) newest.health(DUPLICATE_PROBLEM);
  }

  /**
   * Removes a connection. When the key is no longer anywhere in the region, every client that it reached gets PeerGone.
   */
  unregister(peer: Peer, connection: Recipient): void {
    // Connections of the key that have joined in other threads count, or the others would get the notice that they are alone.
    this.listener?.missed();
    this.#counters.connections--;
    this.#contacts.recipientGone(connection);
    this.unregisterElsewhere(peer, connection);
    this.listener?.left(peer, connection);
  }

  /** The same for a connection of another thread. */
  unregisterElsewhere(peer: Peer, connection: Recipient): void {
    const counters = this.#counters;
    peer.remove(connection);
    if (peer.size > 0) {
      counters.duplicateConnections -= peer.size === 1 ? 2 : 1;
      if (peer.size === 1) {
        counters.duplicateKeys--;
        for (const member of peer.members) member.health('');
      }
      return;
    }
    counters.localKeys--;
    if (this.remote.has(peer.key)) counters.remoteKeys++;
    else this.#forget(peer);
    for (const watcher of this.#watchers) watcher.gone(peer);
  }

  /**
   * The forwarder of `way` leads to the key that is the 32 bytes at `at`, which are copied; see {@link RemoteKeys.add}.
   * Packets go there while the key has no connection to this relay and no older forwarder that is up.
   */
  addForwarder(buffer: Buffer, at: number, way: Way): Added {
    const added = this.remote.add(buffer, at, way);
    if (added !== Added.First) return added;
    const former = this.#contacts.takeBack(buffer, at);
    if (former !== null) this.table.add(former);
    if ((this.table.find(buffer, at)?.size ?? 0) === 0) this.#counters.remoteKeys++;
    if (way.forwarder.isElsewhere !== true) this.listener?.forwarded(buffer, at);
    return added;
  }

  /**
   * Removes the key at `at` from the forwarder of `way`. When the key is connected nowhere now, all recipients that it has sent
   * packets to get PeerGone.
   */
  removeForwarder(buffer: Buffer, at: number, way: Way): void {
    const isOwn = way.forwarder.isElsewhere !== true;
    // The key may be connected to another thread by now, and does not count as gone then.
    if (isOwn) this.listener?.missed();
    if (this.remote.remove(buffer, at, way) !== Removed.Last) return;
    if (isOwn) this.listener?.unforwarded(buffer, at);
    const peer = this.table.find(buffer, at);
    if (peer !== null && peer.size > 0) return;
    this.#counters.remoteKeys--;
    if (peer !== null) this.#forget(peer);
  }

  /** Removes at most `most` of the old keys of `way`, each as {@link removeForwarder} does. */
  forgetOldKeys(way: Way, most: number): void {
    const key = Buffer.alloc(KEY_BYTES);
    let entry = 0;
    for (let left = most; left > 0 && way.oldKeys > 0; left--) {
      entry = this.remote.nextOld(way, entry, key);
      if (entry < 0) return;
      this.removeForwarder(key, 0, way);
    }
  }

  /** Removes all keys of `way` at once, and the way, because its forwarder is gone. */
  closeWay(way: Way): void {
    this.remote.age(way);
    this.forgetOldKeys(way, Infinity);
    this.remote.close(way);
  }

  /** Whether `key`, 32 bytes, is connected to this relay or elsewhere. */
  knows(key: Buffer): boolean {
    return this.table.named(key) !== null || this.remote.has(key);
  }

  /** Reports to `watcher` from now on which keys connect and leave; returns a function that unsubscribes. */
  watch(watcher: PresenceWatcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Ends all connections of `key` to this relay. */
  closePeer(key: Buffer): void {
    for (const connection of [...(this.table.named(key)?.members ?? [])]) connection.closePeer();
  }

  /** A key of another thread now has the connection `next` instead of `old`, its only one until now. */
  replaceElsewhere(peer: Peer, old: Recipient, next: Recipient, joined: number): void {
    peer.remove(old);
    peer.add(next, joined);
  }

  /** One of several connections of a key has sent a frame of any type. */
  spoke(peer: Peer, connection: Recipient): void {
    const speech = peer.speech(connection, this.duplicatePolicy);
    if (speech === Speech.Nothing) return;
    const at = this.#order.next();
    peer.spoke(connection, speech, at);
    this.listener?.spoke(peer, connection, speech, at);
  }

  /**
   * Routes the packet `[from, to)` of `buffer`, without its header, from `source` to the node whose key is the 32 bytes
   * at `keyAt` of the same buffer. The buffer is not changed. After `Full` the packet is not counted yet: the caller
   * keeps it and calls {@link whenTaking}.
   */
  route(source: Peer, buffer: Buffer, keyAt: number, from: number, to: number): RouteResult {
    const counters = this.#counters;
    const kind = looksLikeDisco(buffer, from, to) ? PacketKind.Disco : PacketKind.Other;
    let destination = this.table.find(buffer, keyAt);
    if (destination === null && this.listener !== null && this.remote.find(buffer, keyAt) === null) {
      if (this.listener.missed()) destination = this.table.find(buffer, keyAt);
    }
    const active = destination === null ? null : destination.active;
    let result: RouteResult;
    if (destination !== null && active !== null) {
      if (source.reached?.has(active) !== true && active.isElsewhere !== true) this.#contacts.note(source, active);
      result = active.deliver(source, destination, buffer, from, to, kind);
      if (result === Delivery.Full) return result;
    } else {
      const forwarder = this.#elsewhere(destination, buffer, keyAt);
      if (forwarder !== null) {
        result = forwarder.deliver(source, this.#remoteKey(destination, buffer, keyAt), buffer, from, to, kind);
        if (result === Delivery.Full) return result;
      } else if (destination === null) {
        counters.drop(DropReason.UnknownDestination, kind, to - from);
        result = kind === PacketKind.Disco ? RouteResult.NotHere : RouteResult.Unknown;
      } else {
        counters.drop(DropReason.DuplicateClient, kind, to - from);
        result = RouteResult.AllDisabled;
      }
    }
    counters.packetsReceived++;
    counters.bytesReceived += to - from;
    if (kind === PacketKind.Disco) counters.discoPacketsReceived++;
    return result;
  }

  /**
   * The same for a packet that another relay of the region forwards: the source key is the 32 bytes at `keysAt`, the
   * destination key the next 32. It goes only to connections of this relay, so that packets cannot loop.
   */
  routeForwarded(buffer: Buffer, keysAt: number, from: number, to: number): RouteResult {
    const counters = this.#counters;
    const kind = looksLikeDisco(buffer, from, to) ? PacketKind.Disco : PacketKind.Other;
    let destination = this.table.find(buffer, keysAt + KEY_BYTES);
    if (destination === null && this.listener?.missed() === true) {
      destination = this.table.find(buffer, keysAt + KEY_BYTES);
    }
    const active = destination?.active ?? null;
    let result: RouteResult;
    if (destination !== null && active !== null) {
      const source = this.table.find(buffer, keysAt) ?? this.#remotePeer(buffer, keysAt);
      if (source !== null && source.reached?.has(active) !== true && active.isElsewhere !== true) {
        this.#contacts.note(source, active);
      }
      this.#forwardedSource.read(buffer, keysAt);
      result = active.deliver(this.#forwardedSource, destination, buffer, from, to, kind);
      if (result === Delivery.Full) return result;
    } else if (destination !== null && destination.size > 0) {
      counters.drop(DropReason.DuplicateClient, kind, to - from);
      result = RouteResult.AllDisabled;
    } else {
      counters.drop(DropReason.UnknownDestinationOnForward, kind, to - from);
      result = kind === PacketKind.Disco ? RouteResult.NotHere : RouteResult.Unknown;
    }
    counters.packetsForwardedIn++;
    counters.bytesForwardedIn += to - from;
    return result;
  }

  /** After `Full`: `sender.sendMore()` is called when the destination whose key is at `keyAt` of `buffer` takes packets again. */
  whenTaking(sender: WaitingSender, buffer: Buffer, keyAt: number): void {
    const destination = this.table.find(buffer, keyAt);
    (destination?.active ?? this.#elsewhere(destination, buffer, keyAt))?.whenTaking(sender);
  }

  /** Returns the peer of `key`, a new one when the key is nowhere. */
  #peerOf(key: Buffer): Peer {
    const known = this.table.named(key);
    if (known !== null) return known;
    const peer = this.#contacts.takeBack(key, 0) ?? new Peer(key);
    this.table.add(peer);
    return peer;
  }

  /**
   * The way to the key at `at` that has no active connection here, or null. One whose connections are all disabled gets nothing
   * by another way (§4.1).
   */
  #elsewhere(destination: Peer | null, buffer: Buffer, at: number): PacketReceiver | null {
    return destination !== null && destination.size > 0 ? null : this.remote.find(buffer, at);
  }

  /** The key at `at`, which has no connection here; valid until the next call. */
  #remoteKey(peer: Peer | null, buffer: Buffer, at: number): NodeKey {
    if (peer !== null) return peer;
    this.#remoteDestination.read(buffer, at);
    return this.#remoteDestination;
  }

  /**
   * Returns a peer for the key at `at`, which is connected elsewhere and sends to a client here; null when the key is
   * nowhere. The first packets of a node may come before the PeerPresent for it, on another connection of this thread. They
   * are delivered but not recorded, so that a relay cannot fill the table with invented keys; the next packet is. A node that
   * leaves before that leaves without notice, which clients must tolerate (§11).
   */
  #remotePeer(buffer: Buffer, at: number): Peer | null {
    if (this.remote.find(buffer, at) === null) {
      if (this.listener?.missed() !== true) return null;
      const added = this.table.find(buffer, at);
      if (added !== null || this.remote.find(buffer, at) === null) return added;
    }
    const peer = new Peer(Buffer.from(buffer.subarray(at, at + KEY_BYTES)));
    this.table.add(peer);
    return peer;
  }

  /** The key is no longer anywhere in the region. */
  #forget(peer: Peer): void {
    this.table.remove(peer);
    this.#contacts.sourceGone(peer);
  }

  /**
   * Gives the packet `[from, to)` of `buffer` from a node of another thread to `recipient`, a connection of `destination`
   * that is here. The other thread has counted it as received.
   */
  deliverFromElsewhere(
    source: Source,
    destination: Peer,
    recipient: Recipient,
    buffer: Buffer,
    from: number,
    to: number,
    kind: PacketKind,
  ): Delivery {
    const peer = source instanceof Peer ? source : (this.table.named(source.key) ?? this.#remotePeer(source.key, 0));
    if (peer !== null && peer.reached?.has(recipient) !== true) this.#contacts.note(peer, recipient);
    return recipient.deliver(source, destination, buffer, from, to, kind);
  }

  /**
   * Gives the packet `[from, to)` of `buffer` from a node of another thread to a link of this one that leads to the key at
   * `keyAt`, or to the connection that the key has had here since the other thread wrote the packet. That thread has counted
   * it as received. Where neither takes it, it is dropped: the sender does not wait for it any more.
   */
  forwardFromElsewhere(
    source: Source,
    buffer: Buffer,
    keyAt: number,
    from: number,
    to: number,
    kind: PacketKind,
  ): void {
    const destination = this.table.find(buffer, keyAt);
    const active = destination === null ? null : destination.active;
    let delivery: Delivery = Delivery.Full;
    if (destination !== null && active !== null) {
      if (active.isElsewhere !== true) {
        this.deliverFromElsewhere(source, destination, active, buffer, from, to, kind);
        return;
      }
      delivery = active.deliver(source, destination, buffer, from, to, kind);
    } else {
      const forwarder = this.#elsewhere(destination, buffer, keyAt);
      if (forwarder !== null) {
        delivery = forwarder.deliver(source, this.#remoteKey(destination, buffer, keyAt), buffer, from, to, kind);
      }
    }
    if (delivery === Delivery.Full) this.#counters.drop(DropReason.GoneDisconnected, kind, to - from);
  }

  #enter(key: Buffer, connection: Recipient, joined: number): Peer {
    const counters = this.#counters;
    const peer = this.#peerOf(key);
    if (peer.size === 0) {
      counters.localKeys++;
      if (this.remote.has(key)) counters.remoteKeys--;
    }
    const before = peer.oldest;
    peer.add(connection, joined);
    if (peer.size > 1) {
      if (peer.size === 2) {
        counters.duplicateKeys++;
        before?.health(DUPLICATE_PROBLEM);
      }
      counters.duplicateConnections += peer.size === 2 ? 2 : 1;
      counters.totalDuplicateConnections++;
    }
    return peer;
  }

  /**
   * Ends the oldest connections of a key that now has too many. Each thread ends its own, and may not know yet that others are
   * gone. Therefore it checks all that are too many, and not only the oldest.
   */
  #entered(peer: Peer, connection: Recipient): void {
    const tooMany = peer.size - (peer.mostConnections ?? this.#connectionsPerKey);
    if (tooMany > 0) for (const old of peer.oldestOnes(tooMany)) old.crowdedOut();
    for (const watcher of this.#watchers) watcher.present(peer, connection);
  }
}
