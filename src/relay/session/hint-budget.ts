/** PeerGone "not here" hints that may come at once, and how many more each second (protocol reference §4.7). */
const HINT_BURST = 3;
const HINTS_PER_SECOND = 1;

/** Bounds the hints that one connection is sent about unknown destinations. */
export class HintBudget {
  #left = HINT_BURST;
  #at = 0;

  /** True when a hint may be sent at `now`, in milliseconds. */
  take(now: number): boolean {
    this.#left = Math.min(HINT_BURST, this.#left + ((now - this.#at) / 1000) * HINTS_PER_SECOND);
    this.#at = now;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
