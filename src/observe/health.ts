/** One problem: its name, and a sentence about it. */
export interface HealthProblem {
  readonly name: string;
  readonly problem: string;
}

/** The problems that make the process not ready. Each part reports under its own name. */
export class Health {
  readonly #problems = new Map<string, string>();
  readonly #notes = new Map<string, string>();
  readonly #listeners = new Set<() => void>();

  /** Reports a problem of `name`, or null when it is solved. Returns whether this is a change. */
  set(name: string, problem: string | null): boolean {
    if ((this.#problems.get(name) ?? null) === problem) return false;
    if (problem === null) this.#problems.delete(name);
    else this.#problems.set(name, problem);
    for (const listener of this.#listeners) listener();
    return true;
  }

  /** All problems, by name; empty when there are none. */
  problems(): readonly HealthProblem[] {
    return [...this.#problems].map(([name, problem]) => ({ name, problem })).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Sets a note for the operator that does not affect readiness; null removes it. */
  note(name: string, text: string | null): void {
    if (text === null) this.#notes.delete(name);
    else this.#notes.set(name, text);
  }

  /** The notes for the operator, by name. */
  notes(): readonly HealthProblem[] {
    return [...this.#notes].map(([name, problem]) => ({ name, problem }));
  }

  /** True when there is no problem. */
  get ready(): boolean {
    return this.#problems.size === 0;
  }

  /** Calls `listener` whenever the problems change; returns a function that unsubscribes. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
