import { encodePeerGone, PeerGoneReason } from '../../wire/frames.ts';
import { encodePeerPresent } from '../../wire/mesh-frames.ts';
import type { Peer } from '../routing/peer.ts';
import type { PresenceWatcher } from '../routing/presence.ts';
import type { Recipient } from '../routing/recipient.ts';
import type { Router } from '../routing/router.ts';

/** When this many control bytes wait for a watcher, it gets no more reports. */
const BACKLOG_BYTES = 32_768;
/** Keys whose latest change may wait for a watcher, about 20 MB. A watcher with more is closed. */
const MOST_CHANGES = 100_000;

/** The watching connection, from the side of its feed. */
export interface FeedReader {
  /** Bytes of control frames that wait to be written. */
  readonly controlBytes: number;
  /** Queues a control frame. */
  control(frame: Buffer): void;
  /** Called when more reports wait: calls {@link PresenceFeed.fill} at the end of the turn. */
  hasMore(): void;
  /** Called when more changes wait than the limit: ends the connection. */
  tooFarBehind(): void;
}

/** The state of a key: its newest connection, or null when it has left. */
interface Change {
  readonly key: Buffer;
  readonly connection: Recipient | null;
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
  readonly #mostChanges: number;
  /** All connected keys are to be reported, once an earlier list is finished. */
  #wantsAll = true;
  /** The peers that were connected at the start; those before `#next` were reported. */
  #initial: readonly Peer[] = [];
  #next = 0;
  /** By key: a key that has left and returned has another peer. In order of the changes. */
  readonly #changes = new Map<string, Change>();

  /** Tells `reader` from now on. */
  constructor(router: Router, reader: FeedReader, mostChanges: number = MOST_CHANGES) {
    this.#router = router;
    this.#reader = reader;
    this.#mostChanges = mostChanges;
    this.#unwatch = router.watch(this);
    reader.hasMore();
  }

  /** Reports all connected keys again. However often it is called in a turn, the list is made once. */
  tellAll(): void {
    this.#wantsAll = true;
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
    if (this.#wantsAll && this.#initial.length === 0) {
      this.#wantsAll = false;
      this.#initial = this.#router.table.all();
    }
    for (; this.#next < this.#initial.length; this.#next++) {
      if (this.#isFull) return true;
      const peer = this.#initial[this.#next]!;
      if (peer.active !== null && !this.#hasChanged(peer)) this.#tellPresent(peer.key, peer.active);
    }
    this.#initial = [];
    this.#next = 0;
    for (const [name, { key, connection }] of this.#changes) {
      if (this.#isFull) return true;
      this.#changes.delete(name);
      if (connection === null) this.#reader.control(encodePeerGone(key, PeerGoneReason.Disconnected));
      else this.#tellPresent(key, connection);
    }
    return this.#wantsAll;
  }

  close(): void {
    this.#unwatch();
    this.#initial = [];
    this.#changes.clear();
  }

  get #isFull(): boolean {
    return this.#reader.controlBytes >= BACKLOG_BYTES;
  }

  #hasChanged({ key }: Peer): boolean {
    return this.#changes.size > 0 && this.#changes.has(nameOf(key));
  }

  #change({ key }: Peer, connection: Recipient | null): void {
    const name = nameOf(key);
    // Moved to the end, so that changes are reported in order.
    this.#changes.delete(name);
    this.#changes.set(name, { key, connection });
    if (this.#changes.size > this.#mostChanges) this.#reader.tooFarBehind();
    else this.#reader.hasMore();
  }

  #tellPresent(key: Buffer, connection: Recipient): void {
    this.#reader.control(encodePeerPresent(key, connection.presence()));
  }
}

/** A key as text, to find it by. */
function nameOf(key: Buffer): string {
  return key.toString('latin1');
}
