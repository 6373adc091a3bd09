import type { Peer } from './peer.ts';
import type { Recipient } from './recipient.ts';

/**
 * Receives which keys connect to this relay and leave it. Keys that are connected only to another relay are not
 * reported (protocol reference §4.10).
 */
export interface PresenceWatcher {
  /** A connection of `peer` to this relay is new; the key may have others. */
  present(peer: Peer, connection: Recipient): void;
  /** The last connection of `peer` to this relay has left. */
  gone(peer: Peer): void;
}
