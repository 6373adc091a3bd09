/** Twice what waits in the kernel's queue (Bun: 512): who came before the turn began is always accepted. */
const ALWAYS_ACCEPTED = 1024;
/** For so long the others wait for a turn that only accepts. */
const LONGEST_MS = 100;

/**
 * Notices a turn of the event loop that does nothing but accept. Bun accepts until the kernel's queue is empty: when
 * connections come faster than that, nothing is ever read or written. To refuse a connection takes a fraction of the
 * time, so that the turn ends.
 */
export class AcceptTurn {
  readonly #now: () => number;
  #accepted = 0;
  #beganMs = 0;

  /** `now` gives milliseconds; for tests. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** To be asked for each accepted connection: whether it has to be refused. */
  isTooLong(): boolean {
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
