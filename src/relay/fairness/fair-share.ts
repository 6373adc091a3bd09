import { MAX_PACKET_FRAME_BYTES } from '../../wire/frames.ts';
import type { Wakeable, WakeList } from '../../base/wake-list.ts';

/** Bytes that a connection of weight 1 may send when its turn comes. Small, so that a round of many greedy ones is short. */
export const QUANTUM_BYTES = 16_384;
/** How much of the total may be saved up while nobody sends, as time: an idle second must not be sent all at once. */
const BURST_MS = 50;
/** Shares are dealt out at this grain at the finest: the timers of the runtimes have no finer one. */
const DEAL_MS = 1;

/** A connection or a key that sends under a common limit. */
export interface LimitedSender {
  /** Send what waits, asking {@link ShareAccount.take} for each frame, until it says no or nothing is left. */
  sendMore(): void;
}

/** One sender's part in a {@link FairShare}, made by its `join`. */
export class ShareAccount {
  readonly sender: LimitedSender;
  /** Bytes of credit that one turn brings. */
  readonly quantum: number;
  /** Bytes that may still be sent in this turn; below zero after a frame that was larger. */
  credit = 0;
  /** Was told no and has not been served since. */
  isWaiting = false;
  readonly #share: FairShare;

  constructor(share: FairShare, sender: LimitedSender, weight: number) {
    this.#share = share;
    this.sender = sender;
    this.quantum = QUANTUM_BYTES * weight;
  }

  /**
   * True when `bytes` may be sent at `now`; they are taken off the total then. After false the sender waits for
   * `sendMore`.
   */
  take(bytes: number, now: number): boolean {
    return this.#share.take(this, bytes, now);
  }

  /** Waits no longer. */
  leave(): void {
    this.#share.leave(this);
  }
}

/**
 * Shares a total of bytes per second among all who want to send, by deficit round robin with weights. As long as the
 * total is not used up, nobody waits: an idle share may be used by the others. When it is, senders take turns; one
 * that has just begun to send goes before those that always do, so that a thin flow waits for a moment and not for
 * a round (the two lists of RFC 8290, §4.2).
 */
export class FairShare implements Wakeable {
  readonly #wakes: WakeList;
  readonly #bytesPerMs: number;
  /** Bytes that may be saved up, one largest frame at least. */
  readonly #burst: number;
  #tokens: number;
  #refilledAt: number;
  /** Senders that have begun to send, and those that go on. A sender stays until its turn finds it idle. */
  readonly #fresh = new Set<ShareAccount>();
  readonly #steady = new Set<ShareAccount>();
  #serving: ShareAccount | null = null;
  #isAsleep = false;

  /** `bytesPerSecond` above 0; `now` in milliseconds, as `performance.now()` has them. */
  constructor(wakes: WakeList, bytesPerSecond: number, now: number) {
    this.#wakes = wakes;
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#burst = Math.max(this.#bytesPerMs * BURST_MS, MAX_PACKET_FRAME_BYTES);
    this.#tokens = this.#burst;
    this.#refilledAt = now;
  }

  /** An account for a sender, whose turns are `weight` times as long as those of weight 1. */
  join(sender: LimitedSender, weight: number): ShareAccount {
    return new ShareAccount(this, sender, weight);
  }

  /** See {@link ShareAccount.leave}. */
  leave(account: ShareAccount): void {
    account.isWaiting = false;
    this.#fresh.delete(account);
    this.#steady.delete(account);
  }

  /** See {@link ShareAccount.take}. */
  take(account: ShareAccount, bytes: number, now: number): boolean {
    if (account === this.#serving) {
      if (account.credit > 0 && this.#tokens > 0) {
        account.credit -= bytes;
        this.#tokens -= bytes;
        return true;
      }
      account.isWaiting = true;
      return false;
    }
    if (!this.#fresh.has(account) && !this.#steady.has(account)) {
      this.#refill(now);
      if (this.#tokens > 0 && this.#isIdle) {
        this.#tokens -= bytes;
        return true;
      }
      account.credit = account.quantum;
      this.#fresh.add(account);
    }
    account.isWaiting = true;
    this.#sleep();
    return false;
  }

  /** Deals out what the total allows by now. */
  wake(now: number): void {
    this.#isAsleep = false;
    this.#refill(now);
    while (this.#tokens > 0 && !this.#isIdle) this.#next();
    if (!this.#isIdle) this.#sleep();
  }

  get #isIdle(): boolean {
    return this.#fresh.size === 0 && this.#steady.size === 0;
  }

  #refill(now: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#refilledAt) * this.#bytesPerMs);
    this.#refilledAt = now;
  }

  #sleep(): void {
    if (this.#isAsleep) return;
    this.#isAsleep = true;
    this.#wakes.add(this, Math.max(DEAL_MS, -this.#tokens / this.#bytesPerMs));
  }

  /** Gives one sender its turn, or the rest of it; there is one. */
  #next(): void {
    const list = this.#fresh.size > 0 ? this.#fresh : this.#steady;
    const [account] = list;
    if (account === undefined) return;
    if (account.credit <= 0) {
      account.credit += account.quantum;
      list.delete(account);
      this.#steady.add(account);
    } else if (!this.#serve(account)) {
      const wasFresh = list.delete(account) && list === this.#fresh;
      // One that was quick to finish waits out the round in the list, else it could always be fresh.
      if (wasFresh && this.#steady.size > 0) this.#steady.add(account);
    }
  }

  /** False when it has nothing left to send. */
  #serve(account: ShareAccount): boolean {
    if (!account.isWaiting) return false;
    account.isWaiting = false;
    this.#serving = account;
    try {
      account.sender.sendMore();
    } finally {
      this.#serving = null;
    }
    return account.isWaiting;
  }
}
