import type { PeerGoneReason } from '../../wire/frames.ts';
import type { PacketKind } from '../../observe/counters.ts';

/** What became of a packet that a {@link Recipient} was given. */
export const Delivery = {
  /** The recipient has a copy and sends it on, or drops it later and counts that itself. */
  Taken: 0,
  /** It is lost, and the recipient has counted it. */
  Dropped: 1,
  /** It was not taken and not counted: the sender keeps it, reads no more, and offers it again when it is told to. */
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

/** The node that a packet comes from, wherever it is connected. Valid during the call that is given it. */
export interface Source extends NodeKey {
  /** The node has proved its key to this relay. False for what another relay of the region forwards. */
  readonly isProved: boolean;
}

/** What those hear of a connection who watch who is here. */
export interface Presence {
  /** Canonical text; empty when there is no address. */
  readonly ip: string;
  readonly port: number;
  /** `PresentFlag` bits. */
  readonly flags: number;
  /** The name of the client's program, empty when it gave none. */
  readonly app: string;
}

/** A sender that was told {@link Delivery.Full} and keeps the packet. */
export interface WaitingSender {
  /** Offer the packet again, and then what came after it. */
  sendMore(): void;
}

/** A receiver of packets for a node key: the one interface of the data path. */
export interface PacketReceiver {
  /**
   * Takes a copy of the packet `[from, to)` of `buffer`, the payload alone, which `source` sends to `destination`, and
   * writes its own header in front of it. Never blocks, never writes into `buffer`, and never tells the source
   * anything.
   */
  deliver(source: Source, destination: NodeKey, buffer: Buffer, from: number, to: number, kind: PacketKind): Delivery;
  /**
   * After {@link Delivery.Full}: calls `sender.sendMore()` once, as soon as packets are taken again or this recipient is
   * gone, but not before this call has returned. A sender that has gone meanwhile ignores it.
   */
  whenTaking(sender: WaitingSender): void;
}

/** A way to a node key that is connected elsewhere: a link to another relay of the region, or to another thread. */
export interface Forwarder extends PacketReceiver {
  /** True for another thread, which has links to other relays. */
  readonly isElsewhere?: boolean;
  /** False while packets do not get through: another forwarder of the same key is used meanwhile, if there is one. */
  readonly isUp: boolean;
}

/** A connection of a node key to this relay. */
export interface Recipient extends PacketReceiver {
  /** True for a connection of another thread, where it hears all that concerns itself. */
  readonly isElsewhere?: boolean;
  /** What is told of it to those who watch. */
  presence(): Presence;
  /** Says that `key` left, or is not here. */
  peerGone(key: Buffer, reason: PeerGoneReason): void;
  /** Sends the node the text of a problem; empty when it is solved. */
  health(problem: string): void;
  /** Ends the connection, because its key has too many: it is the oldest of them. Leaves the peer at once. */
  crowdedOut(): void;
  /** Ends the connection, because another relay of the region asked for it (ClosePeer). */
  closePeer(): void;
}
