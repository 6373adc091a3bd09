import type { Logger } from 'pino';
import { errorMessage, TowpathError } from '../base/errors.ts';
import type { Health } from '../observe/health.ts';

export interface ReadinessParts {
  readonly health: Health;
  readonly log: Logger;
  /** Connects to the relay as a client. Resolves with fields for the log, rejects with the failure. Null: no test. */
  readonly selfTest: (() => Promise<object>) | null;
  /** Time to the second test, milliseconds; doubles for each further one. */
  readonly retryMs?: number;
}

const RETRY_MS = 1000;
const RETRY_MAX_MS = 60_000;

/** The name of the health problem of a relay that is shutting down. */
export const ENDING = 'shutdown';

/**
 * Logs whether the relay is ready, which means that its health has no problem: the log always agrees with `/readyz`.
 * The self-test is repeated until it passes, and at once when another problem is solved, which may have been its cause.
 */
export class Readiness {
  readonly #parts: ReadinessParts;
  readonly #leaveHealth: () => void;
  #timer: NodeJS.Timeout | undefined;
  #retryMs: number;
  #problems = 0;
  /** The last logged state; null before the first one. */
  #said: 'ready' | 'not ready' | null = null;
  #failure = '';
  #facts: object = {};
  #isTesting = false;
  #isStopped = false;

  /** Marks the relay as not ready. */
  constructor(parts: ReadinessParts) {
    this.#parts = parts;
    this.#retryMs = parts.retryMs ?? RETRY_MS;
    parts.health.set('self-test', 'the relay is starting');
    this.#leaveHealth = parts.health.onChange(() => this.#changed());
  }

  /** Starts the tests when the relay is open for clients. Resolves when the first test is over. */
  async begin(): Promise<void> {
    if (this.#parts.selfTest !== null) await this.#test(this.#parts.selfTest);
    else this.#passed({});
  }

  /** Stops the tests and the log lines. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#leaveHealth();
  }

  async #test(selfTest: () => Promise<object>): Promise<void> {
    if (this.#isTesting || this.#isStopped) return;
    this.#isTesting = true;
    clearTimeout(this.#timer);
    try {
      this.#passed(await selfTest());
    } catch (error) {
      this.#failed(error, selfTest);
    } finally {
      this.#isTesting = false;
    }
  }

  #passed(facts: object): void {
    if (this.#isStopped) return;
    this.#facts = facts;
    this.#failure = '';
    this.#parts.health.set('self-test', null);
    this.#say();
  }

  #failed(error: unknown, selfTest: () => Promise<object>): void {
    if (this.#isStopped) return;
    const { health, log } = this.#parts;
    const problem = errorMessage(error);
    if (problem !== this.#failure) {
      const hint = error instanceof TowpathError ? error.hint : undefined;
      log.error({ error: problem, ...(hint === undefined ? {} : { hint }) }, 'not ready');
    }
    this.#said = 'not ready';
    this.#failure = problem;
    health.set('self-test', problem);
    this.#timer = setTimeout(() => void this.#test(selfTest), this.#retryMs).unref();
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
  }

  #changed(): void {
    const { health, selfTest } = this.#parts;
    const problems = health.problems();
    // A relay that is ending does not become ready again. Its end is logged elsewhere.
    if (problems.some(({ name }) => name === ENDING)) {
      this.stop();
      return;
    }
    const isLess = problems.length < this.#problems;
    this.#problems = problems.length;
    if (this.#failure !== '' && isLess && selfTest !== null) void this.#test(selfTest);
    // Nothing is logged before the first test.
    if (this.#said !== null) this.#say();
  }

  #say(): void {
    const { health, log } = this.#parts;
    const now = health.ready ? 'ready' : 'not ready';
    if (now === this.#said) return;
    const isFirst = this.#said === null;
    this.#said = now;
    if (health.ready) log.info(this.#facts, 'ready');
    // At the start a part often waits for a server for a second or two: that is normal.
    else log[isFirst ? 'warn' : 'error']({ problems: health.problems() }, isFirst ? 'not ready yet' : 'not ready');
  }
}
