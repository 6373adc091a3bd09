import type { Peer } from '../routing/peer.ts';
import type { Forwarder } from '../routing/recipient.ts';
import type { Router } from '../routing/router.ts';

/** Keys that one link may lead to; more are not entered. */
const MOST_KEYS = 1_000_000;
/** How long the keys of a link whose connection is gone are kept: a relay that restarts is back before that. */
const GRACE_MS = 10_000;
/** After a new connection, keys from before are forgotten when none of them has been confirmed for so long. */
const CONFIRM_MS = 2000;
/** Keys that are forgotten at most in one tick, some milliseconds of work. */
const FORGOTTEN_PER_TICK = 2000;

/**
 * Which keys a link leads to. Those from before a new connection count on until the other relay has told of all its
 * clients again, so that nobody who is there counts as gone meanwhile. The protocol does not say where that list ends.
 */
export class LinkKeys {
  readonly #link: Forwarder;
  readonly #router: Router;
  readonly #mostKeys: number;
  /** Told of on this connection. */
  #confirmed = new Set<Peer>();
  /** From before. */
  #old = new Set<Peer>();
  #confirmedAt = 0;
  #lostAt = 0;
  /** Keys that were not entered because there are too many. */
  refused = 0;

  constructor(link: Forwarder, router: Router, mostKeys: number = MOST_KEYS) {
    this.#link = link;
    this.#router = router;
    this.#mostKeys = mostKeys;
  }

  get size(): number {
    return this.#confirmed.size + this.#old.size;
  }

  /** `key`, 32 bytes, is connected there. True when other forwarders lead to it, too. */
  present(key: Buffer, now: number): boolean {
    if (this.size >= this.#mostKeys && !this.#isKnown(key)) {
      this.refused++;
      return false;
    }
    const peer = this.#router.addForwarder(key, this.#link);
    if (this.#old.delete(peer)) this.#confirmedAt = now;
    this.#confirmed.add(peer);
    return peer.hasSeveralForwarders;
  }

  /** `key`, 32 bytes, has left there. */
  gone(key: Buffer): void {
    const peer = this.#router.table.named(key);
    if (peer === null) return;
    const isKnown = this.#confirmed.delete(peer) || this.#old.delete(peer);
    if (isKnown) this.#router.removeForwarder(peer, this.#link);
  }

  /** Another link leads to `key` now: if this one has not been told of it since its connection is new, it does not any more. */
  dropOld(key: Buffer): void {
    const peer = this.#router.table.named(key);
    if (peer !== null && this.#old.delete(peer)) this.#router.removeForwarder(peer, this.#link);
  }

  /** There is a new connection, on which everything is told again. */
  connected(now: number): void {
    this.#age();
    this.#confirmedAt = now;
  }

  /** The connection is gone. */
  disconnected(now: number): void {
    this.#age();
    this.#lostAt = now;
  }

  #isKnown(key: Buffer): boolean {
    const peer = this.#router.table.named(key);
    return peer !== null && (this.#old.has(peer) || this.#confirmed.has(peer));
  }

  /** Forgets keys that are too old. */
  tick(now: number, isUp: boolean): void {
    if (this.#old.size === 0) return;
    const keptMs = isUp ? CONFIRM_MS : GRACE_MS;
    if (now - (isUp ? this.#confirmedAt : this.#lostAt) >= keptMs) this.#forget(FORGOTTEN_PER_TICK);
  }

  /** Forgets all at once. */
  removeAll(): void {
    this.#age();
    this.#forget(Infinity);
  }

  #age(): void {
    if (this.#old.size === 0) {
      [this.#old, this.#confirmed] = [this.#confirmed, this.#old];
      return;
    }
    for (const peer of this.#confirmed) this.#old.add(peer);
    this.#confirmed.clear();
  }

  #forget(most: number): void {
    let left = most;
    for (const peer of this.#old) {
      if (left-- <= 0) return;
      this.#old.delete(peer);
      this.#router.removeForwarder(peer, this.#link);
    }
  }
}
