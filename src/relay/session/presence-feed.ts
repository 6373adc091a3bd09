import { encodePeerGone, PeerGoneReason } from '../../wire/frames.ts';
import { encodePeerPresent } from '../../wire/mesh-frames.ts';
import type { Peer } from '../routing/peer.ts';
import type { PresenceWatcher } from '../routing/presence.ts';
import type { Recipient } from '../routing/recipient.ts';
import type { Router } from '../routing/router.ts';

/** When this many control bytes wait for a watcher, it gets no more reports. */
const BACKLOG_BYTES = 32_768;

/** The watching connection, from the side of its feed. */
export interface FeedReader {
  /** Bytes of control frames that wait to be written. */
  readonly controlBytes: number;
  /** Queues a control frame. */
  control(frame: Buffer): void;
  /** There is more to be told: calls {@link PresenceFeed.fill} at the end of the turn. */
  hasMore(): void;
}

/**
 * The waiting reports for one watching connection: first every connected key, then all changes (protocol reference
 * §4.10). They are written in small parts, as fast as the connection takes them. Only the latest change of each key is
 * kept, so a slow watcher costs at most a list of keys.
 */
export class PresenceFeed implements PresenceWatcher {
  readonly #router: Router;
  readonly #reader: FeedReader;
  readonly #unwatch: () => void;
  /** Those that were here at the start, told up to `#next`. */
  #initial: readonly Peer[] = [];
  #next = 0;
  /** The newest connection of a key, or null when the key has left. In order of the changes. */
  readonly #changes = new Map<Peer, Recipient | null>();

  /** Tells `reader` from now on. */
  constructor(router: Router, reader: FeedReader) {
    this.#router = router;
    this.#reader = reader;
    this.#unwatch = router.watch(this);
    this.tellAll();
  }

  /** Reports all connected keys again. */
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
    // Moved to the end, so that changes are reported in order.
    this.#changes.delete(peer);
    this.#changes.set(peer, connection);
    this.#reader.hasMore();
  }

  #tellPresent(peer: Peer, connection: Recipient): void {
    this.#reader.control(encodePeerPresent(peer.key, connection.presence()));
  }
}
