import { FRAME_HEADER_BYTES, FrameType, KEY_BYTES, looksLikeDisco } from '../wire/frames.ts';
import { DropReason, PacketKind, type Counters } from '../observe/counters.ts';
import { Contacts } from './contacts.ts';
import type { DuplicatePolicy } from './duplicates.ts';
import { KEY_WORDS, Peer } from './peer.ts';
import { PeerTable } from './peer-table.ts';
import type { Recipient } from './recipient.ts';

/** What a sender must be told about a packet: nothing, or that its destination is not here (§4.7). */
export const RouteResult = { Routed: 0, Dropped: 1, NotHere: 2 } as const;
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
   * Routes the SendPacket frame `[from, to)` of `source`. The frame is rewritten in place into the RecvPacket that the
   * destination gets: both have the same length.
   */
  route(source: Peer, buffer: Buffer, from: number, to: number): RouteResult {
    const counters = this.#counters;
    const packet = from + FRAME_HEADER_BYTES + KEY_BYTES;
    const kind = looksLikeDisco(buffer, packet, to) ? PacketKind.Disco : PacketKind.Other;
    counters.packetsReceived++;
    counters.bytesReceived += to - packet;
    if (kind === PacketKind.Disco) counters.discoPacketsReceived++;
    const destination = this.table.find(buffer, from + FRAME_HEADER_BYTES);
    if (destination === null) {
      counters.drop(DropReason.UnknownDestination, kind, to - packet);
      return kind === PacketKind.Disco ? RouteResult.NotHere : RouteResult.Dropped;
    }
    const recipient = destination.active;
    if (recipient === null) {
      counters.drop(DropReason.DuplicateClient, kind, to - packet);
      return RouteResult.Dropped;
    }
    if (source.reached?.has(recipient) !== true) this.#contacts.note(source, recipient);
    buffer[from] = FrameType.RecvPacket;
    const view = this.table.view(buffer);
    const { words } = source;
    for (let i = 0; i < KEY_WORDS; i++) view.setInt32(from + FRAME_HEADER_BYTES + i * 4, words[i]!, true);
    recipient.deliver(buffer, from, to, kind);
    return RouteResult.Routed;
  }
}
