/** Lets a bounded number of tasks run at one time; a bounded number waits, in order. */
export class Gate {
  readonly #limit: number;
  readonly #waitingLimit: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(limit: number, waitingLimit: number) {
    this.#limit = limit;
    this.#waitingLimit = waitingLimit;
  }

  /** Resolves when the caller may go, with false when too many wait already. Who may go says `leave` afterwards. */
  enter(): Promise<boolean> {
    if (this.#running < this.#limit) {
      this.#running++;
      return Promise.resolve(true);
    }
    if (this.#waiting.length >= this.#waitingLimit) return Promise.resolve(false);
    return new Promise((resolve) => this.#waiting.push(() => resolve(true)));
  }

  /** Hands the place on. */
  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }
}
