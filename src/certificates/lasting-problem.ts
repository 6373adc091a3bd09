const REPEAT_MS = 86_400_000;

/** Decides when a lasting problem is logged: when it is new or has changed, and once a day. */
export class LastingProblem {
  #text: string | null = null;
  #saidAt = 0;

  /** The present problem, or null. */
  get text(): string | null {
    return this.#text;
  }

  /** `text` must not contain a changing value such as a time. `now` is monotonic, in milliseconds. */
  isNews(text: string, now: number): boolean {
    if (text === this.#text && now - this.#saidAt < REPEAT_MS) return false;
    this.#text = text;
    this.#saidAt = now;
    return true;
  }

  /** Ends the problem. Returns whether there was one. */
  end(): boolean {
    const existed = this.#text !== null;
    this.#text = null;
    return existed;
  }
}
