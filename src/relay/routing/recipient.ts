import type { PeerGoneReason } from '../../wire/frames.ts';
import type { PacketKind } from '../../observe/counters.ts';

/** The result of giving a packet to a {@link Recipient}. */
export const Delivery = {
  /** The recipient has a copy and sends it on, or drops it later and counts that itself. */
  Taken: 0,
  /** The packet is lost, and the recipient has counted it. */
  Dropped: 1,
  /**
   * The packet was not taken and not counted. The sender keeps it, stops reading, and offers it again on `sendMore`.
   */
  Full: 2,
} as const;
export type Delivery = (typeof Delivery)[keyof typeof Delivery];

/** A node key. */
export interface NodeKey {
  /** 32 bytes. */
  readonly key: Buffer;
  /** The same as eight little-endian words, for comparing and writing it fast. */
  readonly words: Int32Array;
}

/** The node that a packet comes from, here or on another relay. Valid only during the call. */
export interface Source extends NodeKey {
  /**
   * True when the node has proved its key to this relay. False for packets that another relay of the region forwards.
   */
  readonly isProved: boolean;
}

/** The facts about a connection for watchers. */
export interface Presence {
  /** Canonical text; empty when there is no address. */
  readonly ip: string;
  readonly port: number;
  /** `PresentFlag` bits. */
  readonly flags: number;
  /** The name of the client's program, empty when it gave none. */
  readonly app: string;
}

/** A sender that got {@link Delivery.Full} and keeps the packet. */
export interface WaitingSender {
  /** Offers the packet again, and then the packets after it. */
  sendMore(): void;
}

/** A receiver of packets for a node key: the one interface of the data path. */
export interface PacketReceiver {
  /**
   * Takes a copy of the packet `[from, to)` of `buffer`, without its header, which `source` sends to `destination`. The
   * receiver writes its own header. It never blocks, never writes into `buffer`, and never sends anything to the
   * source.
   */
  deliver(source: Source, destination: NodeKey, buffer: Buffer, from: number, to: number, kind: PacketKind): Delivery;
  /**
   * After {@link Delivery.Full}: calls `sender.sendMore()` once, when packets are taken again or this receiver has
   * ended, but not before this call has returned. A sender that has ended meanwhile ignores it.
   */
  whenTaking(sender: WaitingSender): void;
}

/** Reaches node keys that are connected elsewhere: a link to another relay of the region, or to another thread. */
export interface Forwarder extends PacketReceiver {
  /** True for another thread, which has links to other relays. */
  readonly isElsewhere?: boolean;
  /** False while packets cannot be sent. Another forwarder of the same key is used then, if there is one. */
  readonly isUp: boolean;
}

/** A connection of a node key to this relay. */
export interface Recipient extends PacketReceiver {
  /** True for a connection of another thread. Its own thread sends it the notices about itself. */
  readonly isElsewhere?: boolean;
  /** Returns the facts about it for watchers. */
  presence(): Presence;
  /** Tells the node that `key` has left, or is not connected. */
  peerGone(key: Buffer, reason: PeerGoneReason): void;
  /** Sends the node the text of a problem; empty when it is solved. */
  health(problem: string): void;
  /** Ends the connection, because its key has too many and it is the oldest. It leaves the peer at once. */
  crowdedOut(): void;
  /** Ends the connection, because another relay of the region asked for it (ClosePeer). */
  closePeer(): void;
}
