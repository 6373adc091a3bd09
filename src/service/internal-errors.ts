import type { Logger } from 'pino';
import type { Counters } from '../observe/counters.ts';

/** Time between two lines about the same kind of call. */
const EVERY_MS = 10_000;

/** Counts bugs that were caught and logs them, each kind once in ten seconds. */
export class InternalErrors {
  readonly #counters: Counters;
  readonly #log: Logger;
  readonly #loggedMs = new Map<string, number>();

  constructor(counters: Counters, log: Logger) {
    this.#counters = counters;
    this.#log = log;
  }

  /** Records `error`, thrown by a call of the kind `where`; there are only a few kinds. */
  caught(where: string, error: unknown): void {
    this.#counters.internalErrors++;
    const now = performance.now();
    if (now - (this.#loggedMs.get(where) ?? -Infinity) < EVERY_MS) return;
    this.#loggedMs.set(where, now);
    const details = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#log.error(
      { where, total: this.#counters.internalErrors, details },
      'internal error: the relay continues; please report this',
    );
  }
}
