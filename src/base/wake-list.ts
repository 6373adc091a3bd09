import { internalError } from './errors.ts';

/** Something that waits for tokens. */
export interface Wakeable {
  /** The time has come; `now` in milliseconds. */
  wake(now: number): void;
}

/** Node's timers have this grain; waking earlier would only wait again. */
const TIMER_GRAIN_MS = 1;

/**
 * Wakes waiters at their time with one timer for all. A token bucket whose burst lasts a few milliseconds needs
 * finer steps than the clock's tick, but not a timer for each connection.
 */
export class WakeList {
  readonly #due = new Map<Wakeable, number>();
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;

  /** Wakes `waiter` in `ms` milliseconds, once; a second call replaces the first. */
  add(waiter: Wakeable, ms: number): void {
    const at = performance.now() + Math.max(ms, TIMER_GRAIN_MS);
    this.#due.set(waiter, at);
    if (at < this.#timerAt) this.#arm(at);
  }

  /** Removes `waiter`. */
  remove(waiter: Wakeable): void {
    this.#due.delete(waiter);
  }

  #arm(at: number): void {
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#wakeDue(), Math.max(at - performance.now(), TIMER_GRAIN_MS)).unref();
  }

  #wakeDue(): void {
    this.#timerAt = Infinity;
    const now = performance.now();
    let next = Infinity;
    const ready: Wakeable[] = [];
    for (const [waiter, at] of this.#due) {
      if (at <= now) ready.push(waiter);
      else if (at < next) next = at;
    }
    for (const waiter of ready) this.#due.delete(waiter);
    if (next < this.#timerAt) this.#arm(next);
    for (const waiter of ready) {
      try {
        waiter.wake(now);
      } catch (error) {
        internalError('rate limit', error);
      }
    }
  }
}
