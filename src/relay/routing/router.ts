/**
 * Where the destination of a packet is looked up. The router finds the peer of a key in `peer-table.ts` and gives the packet
 * to its recipient (`recipient.ts`, the one interface that carries every packet). A key with several connections is in
 * `duplicates.ts`; `contacts.ts` remembers who must hear that a key has left.
 */
import { looksLikeDisco } from '../../wire/frames.ts';
import { DropReason, PacketKind, type Counters } from '../../observe/counters.ts';
import { Contacts } from './contacts.ts';
import type { DuplicatePolicy } from './duplicates.ts';
import { Peer } from './peer.ts';
import { PeerTable } from './peer-table.ts';
import { Delivery, type Recipient, type Source, type WaitingSender } from './recipient.ts';

/** What became of a packet: a {@link Delivery}, or why there was nobody to deliver it to. */
export const RouteResult = {
  Taken: 0,
  Dropped: 1,
  Full: 2,
  /** The destination is not here. */
  Unknown: 3,
  /** The same, and the sender must be told so (§4.7). */
  NotHere: 4,
  /** The destination has several connections, which are all disabled (§4.4). */
  AllDisabled: 5,
} as const;
export type RouteResult = (typeof RouteResult)[keyof typeof RouteResult];

const DUPLICATE_PROBLEM =
  'Another connection to this relay uses the same node key. Was this machine cloned, state folder included? ' +
  'Only one of the connections receives packets.';

/** What one key and one client may have. */
export interface RouterLimits {
  /** Connections of one key; the oldest makes room for a new one. At least 2. */
  readonly connectionsPerKey: number;
  /** Peers that are remembered for each client, to tell it when one of them has gone. */
  readonly contactsPerClient: number;
}

/** Who is where: registers connections by key and routes packets between them (protocol reference §4.1–§4.4). */
export class Router {
  readonly table: PeerTable = new PeerTable();
  duplicatePolicy: DuplicatePolicy;
  readonly #contacts: Contacts;
  readonly #connectionsPerKey: number;
  readonly #counters: Counters;

  constructor(counters: Counters, duplicatePolicy: DuplicatePolicy, limits: RouterLimits) {
    this.#counters = counters;
    this.duplicatePolicy = duplicatePolicy;
    this.#contacts = new Contacts(limits.contactsPerClient);
    this.#connectionsPerKey = limits.connectionsPerKey;
  }

  /**
   * Enters a connection under its key and returns the peer that stands for the key. One that was alone with the key is
   * told that it is not any more. When the key has more connections than it may have, the oldest is ended.
   */
  register(key: Buffer, connection: Recipient): Peer {
    const counters = this.#counters;
    let peer = this.table.named(key);
    if (peer === null) {
      peer = this.#contacts.takeBack(key) ?? new Peer(key);
      this.table.add(peer);
      counters.localKeys++;
    }
    peer.add(connection);
    counters.connections++;
    if (peer.size > 1) {
      if (peer.size === 2) {
        counters.duplicateKeys++;
        peer.oldest?.health(DUPLICATE_PROBLEM);
      }
      counters.duplicateConnections += peer.size === 2 ? 2 : 1;
      counters.totalDuplicateConnections++;
      if (peer.size > this.#connectionsPerKey) peer.oldest?.crowdedOut();
    }
    return peer;
  }

  /** Tells `newest` when it is not alone with its key; the others know it. Called once it may be written to. */
  announceDuplicate(peer: Peer, newest: Recipient): void {
    if (peer.size > 1) newest.health(DUPLICATE_PROBLEM);
  }

  /** Takes a connection out. When it was the last of its key, everyone whom the key reached hears PeerGone. */
  unregister(peer: Peer, connection: Recipient): void {
    const counters = this.#counters;
    peer.remove(connection);
    counters.connections--;
    this.#contacts.recipientGone(connection);
    if (peer.size > 0) {
      counters.duplicateConnections -= peer.size === 1 ? 2 : 1;
      if (peer.size === 1) {
        counters.duplicateKeys--;
        for (const member of peer.members) member.health('');
      }
      return;
    }
    this.table.remove(peer);
    counters.localKeys--;
    this.#contacts.sourceGone(peer);
  }

  /**
   * Routes the packet `[from, to)` of `buffer`, the payload alone, from `source` to the node whose key is the 32 bytes at
   * `keyAt` of the same buffer. Nothing is written into the buffer. After `Full` the packet counts for nothing yet:
   * the caller keeps it and calls {@link whenTaking}.
   */
  route(source: Source, buffer: Buffer, keyAt: number, from: number, to: number): RouteResult {
    const counters = this.#counters;
    const kind = looksLikeDisco(buffer, from, to) ? PacketKind.Disco : PacketKind.Other;
    const destination = this.table.find(buffer, keyAt);
    let result: RouteResult;
    if (destination === null) {
      counters.drop(DropReason.UnknownDestination, kind, to - from);
      result = kind === PacketKind.Disco ? RouteResult.NotHere : RouteResult.Unknown;
    } else if (destination.active === null) {
      counters.drop(DropReason.DuplicateClient, kind, to - from);
      result = RouteResult.AllDisabled;
    } else {
      const recipient = destination.active;
      if (source.reached?.has(recipient) !== true) this.#contacts.note(source, recipient);
      result = recipient.deliver(source, destination, buffer, from, to, kind);
      if (result === Delivery.Full) return result;
    }
    counters.packetsReceived++;
    counters.bytesReceived += to - from;
    if (kind === PacketKind.Disco) counters.discoPacketsReceived++;
    return result;
  }

  /** After `Full`: `sender.sendMore()` is called when the destination whose key is at `keyAt` of `buffer` takes packets again. */
  whenTaking(sender: WaitingSender, buffer: Buffer, keyAt: number): void {
    this.table.find(buffer, keyAt)?.active?.whenTaking(sender);
  }
}
