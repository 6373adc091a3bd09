import { internalError } from './errors.ts';

/** How often deadlines, keep-alives and refills are looked at, in milliseconds. */
export const CLOCK_TICK_MS = 100;

/**
 * The one coarse clock of the process: a monotonic time that is read once per tick, and one timer that serves
 * every deadline, so that no connection needs a timer of its own (architecture, "Time, memory, failure").
 */
export class Clock {
  /** Monotonic milliseconds, refreshed every tick; at most one tick behind. */
  now: number = performance.now();
  readonly #listeners = new Set<(now: number) => void>();
  #timer: NodeJS.Timeout | undefined;

  /** Starts ticking. The timer does not keep the process alive. */
  start(): void {
    this.#timer ??= setInterval(() => this.tick(), CLOCK_TICK_MS).unref();
  }

  /** Stops ticking; `now` stands still. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** The monotonic time at this moment in milliseconds, for what a tick is too coarse for. */
  readNow(): number {
    return performance.now();
  }

  /** Calls `listener` at every tick with the new time in milliseconds; returns a function that unsubscribes. */
  onTick(listener: (now: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads the time now and runs all listeners, each whatever the others throw; tests call it to let time pass. */
  tick(now: number = performance.now()): void {
    this.now = now;
    for (const listener of this.#listeners) {
      try {
        listener(now);
      } catch (error) {
        internalError('clock', error);
      }
    }
  }
}
