import type { Peer } from './peer.ts';
import type { Recipient } from './recipient.ts';

/** Told who comes and goes. Keys that are only connected to another relay are not among them (protocol reference §4.10). */
export interface PresenceWatcher {
  /** A connection of `peer` to this relay is new; the key may have others. */
  present(peer: Peer, connection: Recipient): void;
  /** The last connection of `peer` to this relay has left. */
  gone(peer: Peer): void;
}
