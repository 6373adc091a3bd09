import { MAX_PACKET_FRAME_BYTES } from '../../wire/frames.ts';
import type { Wakeable, WakeList } from '../../base/wake-list.ts';

/**
 * Bytes that a connection of weight 1 may send per turn. It is small, so that a round of many greedy senders is short.
 */
export const QUANTUM_BYTES = 16_384;
/** Unused part of the total that is saved, as time: the bytes of an idle second must not be sent at once. */
const BURST_MS = 50;
/** Shortest time between two distributions: timers of the runtimes are not finer. */
const DEAL_MS = 1;

/** A connection or a key that sends under a common limit. */
export interface LimitedSender {
  /**
   * Sends the waiting frames. It calls {@link ShareAccount.take} for each frame, until that returns false or no frame
   * is left.
   */
  sendMore(): void;
}

/** One sender's account in a {@link FairShare}, made by `join`. */
export class ShareAccount {
  readonly sender: LimitedSender;
  /** Bytes of credit per turn. */
  readonly quantum: number;
  /** Bytes that may still be sent in this turn; below zero after a frame that was larger. */
  credit = 0;
  /** True after `take` returned false, until its next turn. */
  isWaiting = false;
  readonly #share: FairShare;

  constructor(share: FairShare, sender: LimitedSender, weight: number) {
    this.#share = share;
    this.sender = sender;
    this.quantum = QUANTUM_BYTES * weight;
  }

  /**
   * Returns true when `bytes` may be sent at `now`, and takes them off the total. After false the sender waits for
   * `sendMore`.
   */
  take(bytes: number, now: number): boolean {
    return this.#share.take(this, bytes, now);
  }

  /** The sender no longer waits. */
  leave(): void {
    this.#share.leave(this);
  }
}

/**
 * Shares a total of bytes per second among all active senders, by deficit round robin with weights. While the total is
 * not used up, no sender waits: others use idle shares. When it is used up, senders take turns. A sender that has just
 * begun goes before those that send all the time, so that a thin flow does not wait for a whole round (the two lists of
 * RFC 8290, §4.2).
 */
export class FairShare implements Wakeable {
  /** Told when a sender has to wait. */
  waits: () => void = () => undefined;
  readonly #wakes: WakeList;
  #bytesPerMs: number;
  /** Bytes that may be saved, at least one largest frame. */
  #burst: number;
  #tokens: number;
  #usedBytes = 0;
  #refilledAt: number;
  /** New senders and steady senders. A sender stays in its list until it has nothing to send in its turn. */
  readonly #fresh = new Set<ShareAccount>();
  readonly #steady = new Set<ShareAccount>();
  #serving: ShareAccount | null = null;
  #isAsleep = false;

  /** `bytesPerSecond` above 0; `now` in milliseconds, as `performance.now()` has them. */
  constructor(wakes: WakeList, bytesPerSecond: number, now: number) {
    this.#wakes = wakes;
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#burst = burstOf(this.#bytesPerMs);
    this.#tokens = this.#burst;
    this.#refilledAt = now;
  }

  /** Another rate from `now` on, above 0. What is saved up stays, up to what may be saved up at the new rate. */
  setRate(bytesPerSecond: number, now: number): void {
    this.#refill(now);
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#burst = burstOf(this.#bytesPerMs);
    this.#tokens = Math.min(this.#tokens, this.#burst);
  }

  /** Bytes that were sent since the last call. */
  takeUsedBytes(): number {
    const bytes = this.#usedBytes;
    this.#usedBytes = 0;
    return bytes;
  }

  /** Shares of the senders that take turns now, that of weight 1 being one. */
  get waitingWeight(): number {
    let bytes = 0;
    for (const { quantum } of this.#fresh) bytes += quantum;
    for (const { quantum } of this.#steady) bytes += quantum;
    return bytes / QUANTUM_BYTES;
  }

  /** Returns an account for a sender. Its turns are `weight` times as long as those of weight 1. */
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
        this.#usedBytes += bytes;
        return true;
      }
      account.isWaiting = true;
      return false;
    }
    if (!this.#fresh.has(account) && !this.#steady.has(account)) {
      this.#refill(now);
      if (this.#tokens > 0 && this.#isIdle) {
        this.#tokens -= bytes;
        this.#usedBytes += bytes;
        return true;
      }
      account.credit = account.quantum;
      this.#fresh.add(account);
    }
    account.isWaiting = true;
    this.#sleep();
    return false;
  }

  /** Distributes the bytes that the total allows by now. */
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
    this.waits();
    this.#wakes.add(this, Math.max(DEAL_MS, -this.#tokens / this.#bytesPerMs));
  }

  /** Gives one sender its turn, or the rest of it. There must be one. */
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
      // A sender that finished early stays in the list for this round, otherwise it could always count as new.
      if (wasFresh && this.#steady.size > 0) this.#steady.add(account);
    }
  }

  /** Returns false when the sender has nothing left to send. */
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

function burstOf(bytesPerMs: number): number {
  return Math.max(bytesPerMs * BURST_MS, MAX_PACKET_FRAME_BYTES);
}
