import { internalError } from './errors.ts';

/** Something with a time limit. */
export interface Expiring {
  /** The time is over. Called once, after the item was removed from the set. */
  expired(): void;
}

/** Longest delay of a deadline, in milliseconds. */
const GRAIN_MS = 50;

/**
 * Deadlines of handshakes and closing connections, driven by one coarse timer that only runs while there are any:
 * a runtime timer per connection would cost memory for each of them.
 */
export class Deadlines {
  readonly #due = new Map<Expiring, number>();
  #timer: NodeJS.Timeout | undefined;

  /** Expires `item` after `afterMs`; replaces its former deadline. */
  add(item: Expiring, afterMs: number): void {
    this.#due.set(item, performance.now() + afterMs);
    this.#timer ??= setInterval(() => this.#tick(), GRAIN_MS).unref();
  }

  /** Removes `item`; does nothing when it is not in the set. */
  delete(item: Expiring): void {
    this.#due.delete(item);
    if (this.#due.size === 0) this.#rest();
  }

  #tick(): void {
    const now = performance.now();
    for (const [item, dueMs] of this.#due) {
      if (dueMs > now) continue;
      this.#due.delete(item);
      try {
        item.expired();
      } catch (error) {
        internalError('deadline', error);
      }
    }
    if (this.#due.size === 0) this.#rest();
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** The deadlines of this thread's transport. */
export const deadlines: Deadlines = new Deadlines();
