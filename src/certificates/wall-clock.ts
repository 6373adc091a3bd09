import type { TickingClock } from '../base/clock.ts';

/**
 * Largest difference between the wall clock and the monotonic clock between two readings. A larger one means that the
 * clock was set.
 */
const JUMP_MS = 60_000;

/** A reading of the wall clock, and how far it can be trusted. Times are milliseconds since 1970. */
export interface WallTime {
  readonly now: number;
  /** The time at the start, or right after the clock was last set. */
  readonly steadyFrom: number;
  /** How long it has run since then, milliseconds. */
  readonly steadyMs: number;
}

/**
 * The wall clock with a check for jumps: a machine without a clock battery starts in 1970 or at the date of its image,
 * and time servers or people set clocks while the relay runs. {@link read} must be called regularly.
 */
export class WallClock {
  readonly #clock: TickingClock;
  readonly #read: () => number;
  #lastWall: number;
  #lastTick: number;
  #steadyFrom: number;
  #steadyTick: number;

  /** `read` gives milliseconds since 1970. */
  constructor(clock: TickingClock, read: () => number) {
    this.#clock = clock;
    this.#read = read;
    this.#lastWall = this.#steadyFrom = read();
    this.#lastTick = this.#steadyTick = clock.now;
  }

  /** Reads the clock, and checks whether it was set since the last reading. */
  read(): WallTime {
    const now = this.#read();
    const tick = this.#clock.now;
    if (Math.abs(now - this.#lastWall - (tick - this.#lastTick)) > JUMP_MS) {
      this.#steadyFrom = now;
      this.#steadyTick = tick;
    }
    this.#lastWall = now;
    this.#lastTick = tick;
    return { now, steadyFrom: this.#steadyFrom, steadyMs: tick - this.#steadyTick };
  }
}
