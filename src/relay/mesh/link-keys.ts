import type { Forwarder } from '../routing/recipient.ts';
import { Added, type Way } from '../routing/remote-keys.ts';
import type { Router } from '../routing/router.ts';

/** Time that keys stay after the connection of their link has ended. A relay that restarts is back before that. */
const GRACE_MS = 10_000;
/** After a new connection, keys from before are forgotten when none of them has been confirmed for this time. */
const CONFIRM_MS = 2000;
/** Most keys that are forgotten in one tick: a few milliseconds of work. */
const FORGOTTEN_PER_TICK = 2000;

/**
 * The keys that a link leads to. After a new connection, the earlier keys stay until the other relay has sent all its
 * clients again, so that connected clients do not count as gone meanwhile. The protocol does not mark the end of that
 * list.
 */
export class LinkKeys {
  readonly #router: Router;
  readonly #way: Way;
  readonly #mostKeys: () => number;
  #confirmedAt = 0;
  #lostAt = 0;
  /** Keys that were not entered because there are too many. */
  refused = 0;

  /** `mostKeys`: how many keys may be entered now. Keys that are entered stay when it becomes smaller. */
  constructor(link: Forwarder, router: Router, mostKeys: () => number) {
    this.#router = router;
    this.#way = router.remote.open(link);
    this.#mostKeys = mostKeys;
  }

  get size(): number {
    return this.#way.keys;
  }

  /**
   * Records that a key, the 32 bytes at `at`, is connected to the other relay. Returns false when there are too many
   * keys to enter it.
   */
  present(buffer: Buffer, at: number, now: number): boolean {
    const { remote } = this.#router;
    if (this.size >= this.#mostKeys() && !remote.leads(buffer, at, this.#way)) {
      this.refused++;
      return false;
    }
    if (this.#router.addForwarder(buffer, at, this.#way) === Added.Renewed) this.#confirmedAt = now;
    return true;
  }

  /** Records that a key, the 32 bytes at `at`, has left the other relay. */
  gone(buffer: Buffer, at: number): void {
    this.#router.removeForwarder(buffer, at, this.#way);
  }

  /** Records a new connection, on which the other relay sends all its clients again. */
  connected(now: number): void {
    this.#router.remote.age(this.#way);
    this.#confirmedAt = now;
  }

  /** Records that the connection is gone. */
  disconnected(now: number): void {
    this.#router.remote.age(this.#way);
    this.#lostAt = now;
  }

  /** Forgets keys that are too old. */
  tick(now: number, isUp: boolean): void {
    if (this.#way.oldKeys === 0) return;
    const keptMs = isUp ? CONFIRM_MS : GRACE_MS;
    if (now - (isUp ? this.#confirmedAt : this.#lostAt) >= keptMs)
      this.#router.forgetOldKeys(this.#way, FORGOTTEN_PER_TICK);
  }

  /** Removes all keys at once, because the link is closed. */
  close(): void {
    this.#router.closeWay(this.#way);
  }
}
