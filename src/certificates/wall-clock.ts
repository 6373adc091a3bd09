import type { TickingClock } from './source.ts';

/** What the wall clock may differ from the monotonic one between two looks without counting as set anew. */
const JUMP_MS = 60_000;

/** A reading of the wall clock, and how far it can be trusted. Times are milliseconds since 1970. */
export interface WallTime {
  readonly now: number;
  /** What it said at the start, or right after it was set last. */
  readonly steadyFrom: number;
  /** For how long it has gone on since then, milliseconds. */
  readonly steadyMs: number;
}

/**
 * The wall clock, watched: a machine without a battery for its clock starts in 1970 or at the date of its image, and time
 * servers or people set clocks while the relay runs. {@link look} has to be called every now and then.
 */
export class WallClock {
  readonly #clock: TickingClock;
  readonly #read: () => number;
  #lookedWall: number;
  #lookedTick: number;
  #steadyFrom: number;
  #steadyTick: number;

  /** `read` gives milliseconds since 1970. */
  constructor(clock: TickingClock, read: () => number) {
    this.#clock = clock;
    this.#read = read;
    this.#lookedWall = this.#steadyFrom = read();
    this.#lookedTick = this.#steadyTick = clock.now;
  }

  /** Reads the clock, and sees whether it was set since the last look. */
  look(): WallTime {
    const now = this.#read();
    const tick = this.#clock.now;
    if (Math.abs(now - this.#lookedWall - (tick - this.#lookedTick)) > JUMP_MS) {
      this.#steadyFrom = now;
      this.#steadyTick = tick;
    }
    this.#lookedWall = now;
    this.#lookedTick = tick;
    return { now, steadyFrom: this.#steadyFrom, steadyMs: tick - this.#steadyTick };
  }
}
