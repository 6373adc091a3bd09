/** Bytes of one turn from which on traffic is heavy: four full datagrams. */
export const HEAVY_TURN_BYTES = 4096;
/** Longest time between the starts of two turns, in milliseconds, for traffic to be heavy. */
export const HEAVY_PERIOD_MS = 0.2;
/** Length of a pause in microseconds. The kernel adds some 50. */
export const PAUSE_MICROSECONDS = 20;

/**
 * Decides whether the thread pauses before its next turn. While many short turns follow one another, a pause costs less
 * than to be woken by each datagram, and the system calls after it take and send more of them. Traffic that comes in
 * long rows has few turns, and a quiet pair has small ones: neither waits.
 */
export class PauseRule {
  #startedAt = -Infinity;

  /** Returns whether to pause after a turn that began at `startedAt` (milliseconds) and received `bytes`. */
  after(startedAt: number, bytes: number): boolean {
    const period = startedAt - this.#startedAt;
    this.#startedAt = startedAt;
    return bytes >= HEAVY_TURN_BYTES && period < HEAVY_PERIOD_MS;
  }
}
