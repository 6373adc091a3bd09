/** Connections that are always accepted in a turn: twice the length of the kernel's queue (Bun: 512). */
const ALWAYS_ACCEPTED = 1024;
/** Longest time in milliseconds that a turn may only accept. Packets of other connections wait meanwhile. */
const LONGEST_MS = 100;

/**
 * Notices a turn of the event loop that does nothing but accept. Bun accepts until the kernel's queue is empty: when
 * connections come faster than that, nothing is ever read or written. Refusing a connection takes a fraction of the
 * time, so the turn ends.
 */
export class AcceptLimit {
  readonly #now: () => number;
  #accepted = 0;
  #beganMs = 0;

  /** `now` gives milliseconds; for tests. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Returns whether an accepted connection must be refused. Called once for each. */
  isReached(): boolean {
    if (this.#accepted++ === 0) {
      this.#beganMs = this.#now();
      setImmediate(this.#end);
    }
    return this.#accepted > ALWAYS_ACCEPTED && this.#now() - this.#beganMs > LONGEST_MS;
  }

  readonly #end = (): void => {
    this.#accepted = 0;
  };
}
