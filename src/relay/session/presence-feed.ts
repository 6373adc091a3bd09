import { encodePeerGone, PeerGoneReason } from '../../wire/frames.ts';
import { encodePeerPresent } from '../../wire/mesh-frames.ts';
import type { Peer } from '../routing/peer.ts';
import type { PresenceWatcher } from '../routing/presence.ts';
import type { Recipient } from '../routing/recipient.ts';
import type { Router } from '../routing/router.ts';

/** Control bytes that may wait for a watcher before it is told more. */
const BACKLOG_BYTES = 32_768;

/** The connection that wants to be told, as its feed sees it. */
export interface FeedReader {
  /** Bytes of control frames that wait to be written. */
  readonly controlBytes: number;
  /** Queues a control frame. */
  control(frame: Buffer): void;
  /** There is more to be told: calls {@link PresenceFeed.fill} at the end of the turn. */
  hasMore(): void;
}

/**
 * What one watching connection is still to be told: first every key that is connected here, then who comes and goes
 * (protocol reference §4.10). It is written in small parts, as fast as the connection takes it. Of each key only the latest
 * change is kept, so that a slow watcher costs no more than a list of keys.
 */
export class PresenceFeed implements PresenceWatcher {
  readonly #router: Router;
  readonly #reader: FeedReader;
  readonly #unwatch: () => void;
  /** Those that were here at the start, told up to `#next`. */
  #initial: readonly Peer[] = [];
  #next = 0;
  /** The newest connection of a key, or null: it is gone. In the order of the changes. */
  readonly #changes = new Map<Peer, Recipient | null>();

  /** Tells `reader` from now on. */
  constructor(router: Router, reader: FeedReader) {
    this.#router = router;
    this.#reader = reader;
    this.#unwatch = router.watch(this);
    this.tellAll();
  }

  /** Tells once more of everyone who is here. */
  tellAll(): void {
    this.#initial = this.#router.table.all();
    this.#next = 0;
    this.#reader.hasMore();
  }

  present(peer: Peer, connection: Recipient): void {
    this.#change(peer, connection);
  }

  gone(peer: Peer): void {
    this.#change(peer, null);
  }

  /** Queues what there is room for; true when there is more. */
  fill(): boolean {
    for (; this.#next < this.#initial.length; this.#next++) {
      if (this.#isFull) return true;
      const peer = this.#initial[this.#next]!;
      if (peer.active !== null && !this.#changes.has(peer)) this.#tellPresent(peer, peer.active);
    }
    this.#initial = [];
    this.#next = 0;
    for (const [peer, connection] of this.#changes) {
      if (this.#isFull) return true;
      this.#changes.delete(peer);
      if (connection === null) this.#reader.control(encodePeerGone(peer.key, PeerGoneReason.Disconnected));
      else this.#tellPresent(peer, connection);
    }
    return false;
  }

  close(): void {
    this.#unwatch();
    this.#initial = [];
    this.#changes.clear();
  }

  get #isFull(): boolean {
    return this.#reader.controlBytes >= BACKLOG_BYTES;
  }

  #change(peer: Peer, connection: Recipient | null): void {
    // Behind the changes of other keys, so that they are told in order.
    this.#changes.delete(peer);
    this.#changes.set(peer, connection);
    this.#reader.hasMore();
  }

  #tellPresent(peer: Peer, connection: Recipient): void {
    this.#reader.control(encodePeerPresent(peer.key, connection.presence()));
  }
}
