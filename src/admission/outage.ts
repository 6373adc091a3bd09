import type { SourceFailure } from './failure.ts';
import type { EventLog } from '../base/event-log.ts';
import type { TickingClock } from '../base/clock.ts';

/** Shortest time between log lines about a source that fails from time to time, or with changing messages. */
const QUIET_MS = 10_000;

/** Records whether a source fails, and decides what is logged about it. */
export class Outage {
  readonly #source: string;
  readonly #clock: TickingClock;
  readonly #log: EventLog;
  #failure: SourceFailure | null = null;
  /** The last logged failure of the source. */
  #told: string | null = null;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(source: string, clock: TickingClock, log: EventLog) {
    this.#source = source;
    this.#clock = clock;
    this.#log = log;
  }

  /** The last failure, or null when the source has answered since. */
  get failure(): SourceFailure | null {
    return this.#failure;
  }

  /** Records that the source did not answer. Logs it, at most once in {@link QUIET_MS}. */
  failed(failure: SourceFailure): void {
    this.#failure = failure;
    if (this.#told === failure.message || this.#clock.now - this.#toldAt < QUIET_MS) return;
    this.#told = failure.message;
    this.#toldAt = this.#clock.now;
    this.#log.warn({ source: this.#source, error: failure.message }, 'admission source does not answer');
  }

  /** Records that the source answered. Logs it when the log said that it does not. */
  answered(): void {
    this.#failure = null;
    if (this.#told === null) return;
    this.#told = null;
    this.#log.info({ source: this.#source }, 'admission source answers again');
  }
}
