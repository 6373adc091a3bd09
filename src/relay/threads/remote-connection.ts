import type { PacketKind } from '../../observe/counters.ts';
import type { Peer } from '../routing/peer.ts';
import type { Delivery, NodeKey, Presence, Recipient, Source, WaitingSender } from '../routing/recipient.ts';

/** The link to the thread of a connection. */
export interface ConnectionLink {
  /** Writes a packet for the connection `number` of that thread. */
  deliver(number: number, source: Source, buffer: Buffer, from: number, to: number, kind: PacketKind): Delivery;
  /** See {@link Recipient.whenTaking}. */
  whenTaking(sender: WaitingSender): void;
  /** Asks the other thread to end the connection `number`. */
  closePeer(number: number): void;
  readonly connections: Map<number, RemoteConnection>;
}

/** A connection of another thread. That thread sends its client all notices about the client itself. */
export class RemoteConnection implements Recipient {
  readonly isElsewhere = true;
  /** Its number in its own thread. */
  readonly number: number;
  /** The peer of its key in this thread; null before it is registered. */
  peer: Peer | null = null;
  readonly #link: ConnectionLink;
  readonly #presence: Presence;

  constructor(link: ConnectionLink, number: number, presence: Presence) {
    this.#link = link;
    this.number = number;
    this.#presence = presence;
  }

  presence(): Presence {
    return this.#presence;
  }

  closePeer(): void {
    this.#link.closePeer(this.number);
  }

  /** It has left its thread. */
  forget(): void {
    this.#link.connections.delete(this.number);
  }

  deliver(source: Source, _to: NodeKey, buffer: Buffer, from: number, to: number, kind: PacketKind): Delivery {
    return this.#link.deliver(this.number, source, buffer, from, to, kind);
  }

  whenTaking(sender: WaitingSender): void {
    this.#link.whenTaking(sender);
  }

  peerGone(): void {
    // Its own thread also learns that the key has left, and tells the client.
  }

  health(): void {
    // Its own thread sees all connections of the key.
  }

  crowdedOut(): void {
    // Its own thread ends it.
  }
}
