import { internalError } from './errors.ts';

/** How often the clock ticks while something needs it, in milliseconds. */
export const CLOCK_TICK_MS = 100;
/** How often it ticks while nothing does, in milliseconds: each wake-up of an idle process costs processor time. */
export const SLOW_TICK_MS = 1000;
/** A tick that comes later than this shows that the event loop is held up, in milliseconds. */
const LATE_MS = 250;
/** Time of fast ticks after such a tick, in milliseconds, so that delays are measured well. */
const WATCH_MS = 10_000;

/**
 * The one coarse clock of the process: a monotonic time, and one timer that serves every deadline, so that no connection
 * needs a timer of its own (architecture, "Time, memory, failure"). It ticks as often as its listeners want.
 */
export class Clock {
  /** How much later than planned the last tick came, milliseconds: the time for which something held the event loop. */
  lateMs = 0;
  #tickedAt: number = performance.now();
  /** Each listener with the longest time between two ticks that it can do with. */
  readonly #listeners = new Map<(now: number) => void, number>();
  #isRunning = false;
  #timer: NodeJS.Timeout | undefined;
  /** When the next tick is planned; Infinity: it is not. */
  #nextAt = Infinity;
  #watchUntil = -Infinity;

  /** Monotonic milliseconds; of the last tick while the clock is stopped. */
  get now(): number {
    return this.#isRunning ? performance.now() : this.#tickedAt;
  }

  /** Starts ticking. The timer does not keep the process alive. */
  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#tickedAt = performance.now();
    this.#plan(this.#tickedAt + this.#periodMs());
  }

  /** Stops ticking; `now` stands still. */
  stop(): void {
    if (!this.#isRunning) return;
    this.#tickedAt = performance.now();
    this.#isRunning = false;
    this.#unplan();
  }

  /** The monotonic time at this moment in milliseconds, also while the clock is stopped. */
  readNow(): number {
    return performance.now();
  }

  /**
   * Calls `listener` at every tick with the new time in milliseconds; returns a function that unsubscribes. While it is
   * subscribed, ticks are at most `everyMs` apart, which is at least {@link CLOCK_TICK_MS}.
   */
  onTick(listener: (now: number) => void, everyMs: number = CLOCK_TICK_MS): () => void {
    this.#listeners.set(listener, everyMs);
    this.tickBy(this.#tickedAt + everyMs);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Sees to it that a tick comes at `at`, milliseconds, or {@link CLOCK_TICK_MS} later. It is forgotten at the next tick: what
   * is due after that has to ask again.
   */
  tickBy(at: number): void {
    if (this.#isRunning && at < this.#nextAt) this.#plan(Math.max(at, this.#tickedAt + CLOCK_TICK_MS));
  }

  /** Reads the time now and runs all listeners, each whatever the others throw; tests call it to let time pass. */
  tick(now: number = performance.now()): void {
    const plannedAt = this.#nextAt === Infinity ? this.#tickedAt + CLOCK_TICK_MS : this.#nextAt;
    this.lateMs = Math.max(0, now - plannedAt);
    if (this.lateMs > LATE_MS) this.#watchUntil = now + WATCH_MS;
    this.#tickedAt = now;
    this.#unplan();
    for (const listener of this.#listeners.keys()) {
      try {
        listener(now);
      } catch (error) {
        internalError('clock', error);
      }
    }
    if (this.#isRunning) this.tickBy(now + (now < this.#watchUntil ? CLOCK_TICK_MS : this.#periodMs()));
  }

  #periodMs(): number {
    let periodMs = SLOW_TICK_MS;
    for (const everyMs of this.#listeners.values()) periodMs = Math.min(periodMs, everyMs);
    return Math.max(periodMs, CLOCK_TICK_MS);
  }

  #plan(at: number): void {
    if (at >= this.#nextAt) return;
    clearTimeout(this.#timer);
    this.#nextAt = at;
    this.#timer = setTimeout(this.#run, Math.max(0, Math.ceil(at - performance.now()))).unref();
  }

  #unplan(): void {
    clearTimeout(this.#timer);
    this.#nextAt = Infinity;
  }

  readonly #run = (): void => this.tick();
}

/** The part of the clock that most of its users need, so that a test may give less. */
export type TickingClock = Pick<Clock, 'now' | 'onTick'>;
