import type { PeerGoneReason } from '../wire/frames.ts';
import type { PacketKind } from '../observe/counters.ts';

/**
 * Whoever can be given packets for a node key: the one interface of the data path. A local session implements it;
 * siblings of a mesh and threads of this process are to do the same.
 */
export interface Recipient {
  /**
   * Takes a copy of the RecvPacket frame `[from, to)`. Never blocks and never tells the sender: what cannot be kept is
   * dropped and counted by the recipient.
   */
  deliver(buffer: Buffer, from: number, to: number, kind: PacketKind): void;
  /** Says that `key` left, or is not here. */
  peerGone(key: Buffer, reason: PeerGoneReason): void;
  /** Tells the node in words what is wrong; empty when it is well again. */
  health(problem: string): void;
  /** Ends the connection, because its key has too many: it is the oldest of them. Leaves the peer at once. */
  crowdedOut(): void;
  /** Peers of which this recipient has received packets; kept by {@link Contacts}, null until there is one. */
  heardFrom: Set<Contactable> | null;
}

/** The sending side of a contact: who has received something from this key. */
export interface Contactable {
  readonly key: Buffer;
  /** Null until it has reached one. */
  reached: Set<Recipient> | null;
}
