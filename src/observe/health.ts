/** One thing that is wrong: what it concerns, and a sentence on it. */
export interface HealthProblem {
  readonly name: string;
  readonly problem: string;
}

/** What keeps this process from being ready for work. Each part of it reports under a name of its own. */
export class Health {
  readonly #problems = new Map<string, string>();
  readonly #listeners = new Set<() => void>();

  /** Reports a problem of `name`, or with null that it is well. Returns whether that is news. */
  set(name: string, problem: string | null): boolean {
    if ((this.#problems.get(name) ?? null) === problem) return false;
    if (problem === null) this.#problems.delete(name);
    else this.#problems.set(name, problem);
    for (const listener of this.#listeners) listener();
    return true;
  }

  /** All problems there are, by name; empty when all is well. */
  problems(): readonly HealthProblem[] {
    return [...this.#problems].map(([name, problem]) => ({ name, problem })).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** True when nothing is wrong. */
  get ready(): boolean {
    return this.#problems.size === 0;
  }

  /** Calls `listener` whenever the problems change; returns a function that unsubscribes. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
