import { internalError } from './errors.ts';

/** Slots of a wheel: at a tick of 100 ms, one turn takes 102 seconds. */
const SLOTS = 1024;

/**
 * Something that is called at a scheduled time. It can be in one {@link TimingWheel} at a time, and is its own entry
 * there: scheduling allocates nothing.
 */
export abstract class Timed {
  /** The time at which {@link TimingWheel} calls `reached`, milliseconds; Infinity when it is not scheduled. */
  dueAt: number = Infinity;
  /** Neighbours in the slot, kept by the wheel. */
  before: Timed | null = null;
  after: Timed | null = null;

  /** Called when the time has come; `now` in milliseconds. It is no longer scheduled, and may be scheduled again. */
  abstract reached(now: number): void;
}

/** The fixed end of a slot's ring. */
class Slot extends Timed {
  override before: Timed = this;
  override after: Timed = this;

  reached(): void {
    // Never scheduled.
  }
}

/**
 * Calls many items at their scheduled times, and visits only items whose time is near: a hashed timing wheel (Varghese
 * and Lauck, scheme 6). Scheduling, cancelling and calling cost the same for any number of items. An item that is due
 * after more than one turn of the wheel is skipped once per turn.
 */
export class TimingWheel {
  readonly #tickMs: number;
  readonly #slots: readonly Slot[] = Array.from({ length: SLOTS }, () => new Slot());
  /** The items that {@link advance} is calling. */
  readonly #due = new Slot();
  /** The tick of the last advance. Its slot may have items that are due later in the tick. */
  #tick: number;
  #size = 0;

  /** `tickMs`: the width of a slot; `now`: the time at the start. Milliseconds. */
  constructor(tickMs: number, now: number) {
    this.#tickMs = tickMs;
    this.#tick = Math.floor(now / tickMs);
  }

  /** How many are scheduled. */
  get size(): number {
    return this.#size;
  }

  /** The first `advance` to `at` or later calls `timed.reached`. Replaces an earlier schedule. Infinity means never. */
  schedule(timed: Timed, at: number): void {
    this.cancel(timed);
    if (at === Infinity) return;
    timed.dueAt = at;
    this.#size++;
    this.#insert(timed);
  }

  /** Removes `timed`; does nothing when it is not scheduled. */
  cancel(timed: Timed): void {
    if (timed.before === null) return;
    unlink(timed);
    timed.dueAt = Infinity;
    this.#size--;
  }

  /**
   * Calls every item that is due at `now`, even when others throw. An item that is scheduled meanwhile for a past time
   * is called by this or the next `advance`.
   */
  advance(now: number): void {
    const target = Math.max(this.#tick, Math.floor(now / this.#tickMs));
    // The clock may have stopped for longer than a turn: visiting each slot once is enough.
    const from = Math.max(this.#tick, target - SLOTS + 1);
    this.#tick = target;
    for (let tick = from; tick <= target; tick++) this.#callDue(this.#slots[tick % SLOTS]!, now);
  }

  /** The earliest time before `limit` for which something is scheduled, Infinity if there is none. Looks at each slot up to then. */
  nextDue(limit: number): number {
    const last = Math.min(Math.floor(limit / this.#tickMs), this.#tick + SLOTS - 1);
    for (let tick = this.#tick; tick <= last; tick++) {
      const slot = this.#slots[tick % SLOTS]!;
      let next = Infinity;
      for (let timed = slot.after; timed !== slot; timed = timed.after!) next = Math.min(next, timed.dueAt);
      if (next < limit) return next;
    }
    return Infinity;
  }

  #callDue(slot: Slot, now: number): void {
    if (slot.after === slot) return;
    // Moved out of the slot, because a call may schedule items into it again.
    const due = this.#due;
    move(slot, due);
    for (let timed = due.after; timed !== due; timed = due.after) {
      unlink(timed);
      if (timed.dueAt > now) {
        this.#insert(timed);
        continue;
      }
      timed.dueAt = Infinity;
      this.#size--;
      try {
        timed.reached(now);
      } catch (error) {
        internalError('deadline', error);
      }
    }
  }

  #insert(timed: Timed): void {
    const tick = Math.max(this.#tick, Math.floor(timed.dueAt / this.#tickMs));
    const slot = this.#slots[tick % SLOTS]!;
    const last = slot.before;
    last.after = timed;
    timed.before = last;
    timed.after = slot;
    slot.before = timed;
  }
}

function unlink(timed: Timed): void {
  timed.before!.after = timed.after;
  timed.after!.before = timed.before;
  timed.before = timed.after = null;
}

/** Moves the whole ring of `from` to the empty one of `to`. */
function move(from: Slot, to: Slot): void {
  to.after = from.after;
  to.before = from.before;
  to.after.before = to;
  to.before.after = to;
  from.after = from.before = from;
}
