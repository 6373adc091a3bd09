import { internalError } from './errors.ts';

/** Someone who waits for tokens. */
export interface Sleeper {
  /** The time has come; `now` in milliseconds. */
  wake(now: number): void;
}

/** Node's timers have this grain; waking earlier would only wait again. */
const TIMER_GRAIN_MS = 1;

/**
 * Wakes sleepers at their time with one timer for all. A token bucket whose burst lasts a few milliseconds needs
 * finer steps than the clock's tick, but not a timer for each connection.
 */
export class WakeList {
  readonly #due = new Map<Sleeper, number>();
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;

  /** Wakes `sleeper` in `ms` milliseconds, once; a second call replaces the first. */
  add(sleeper: Sleeper, ms: number): void {
    const at = performance.now() + Math.max(ms, TIMER_GRAIN_MS);
    this.#due.set(sleeper, at);
    if (at < this.#timerAt) this.#arm(at);
  }

  /** Forgets `sleeper`. */
  remove(sleeper: Sleeper): void {
    this.#due.delete(sleeper);
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
    const ready: Sleeper[] = [];
    for (const [sleeper, at] of this.#due) {
      if (at <= now) ready.push(sleeper);
      else if (at < next) next = at;
    }
    for (const sleeper of ready) this.#due.delete(sleeper);
    if (next < this.#timerAt) this.#arm(next);
    for (const sleeper of ready) {
      try {
        sleeper.wake(now);
      } catch (error) {
        internalError('rate limit', error);
      }
    }
  }
}
