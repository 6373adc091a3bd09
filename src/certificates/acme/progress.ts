import { errorMessage, TowpathError } from '../../base/errors.ts';
import { LastingProblem } from '../lasting-problem.ts';
import type { ReadCertificate } from '../read.ts';
import type { AcmeState, AcmeStore } from './store.ts';
import type { EventLog } from '../../base/event-log.ts';
import type { TickingClock } from '../../base/clock.ts';

/** Time between attempts to write after a failed write. */
const WRITE_AGAIN_MS = 60_000;

/**
 * The state of getting a certificate, in memory and on the disk. A full or read-only disk does not stop the work: the
 * state is kept in memory and written later. An order counts against the limits of the authority, so it must not be
 * lost.
 */
export class AcmeProgress {
  readonly #store: AcmeStore;
  readonly #clock: TickingClock;
  readonly #log: EventLog;
  readonly #problem = new LastingProblem();
  #state: AcmeState;
  #isStateUnsaved = false;
  #unsaved: ReadCertificate | null = null;
  #triedAt = 0;

  constructor(store: AcmeStore, fingerprint: string, { clock, log }: { clock: TickingClock; log: EventLog }) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#state = store.state(fingerprint);
  }

  get state(): AcmeState {
    return this.#state;
  }

  /** Never throws. */
  remember(change: Partial<AcmeState>): void {
    this.#state = { ...this.#state, ...change };
    this.#isStateUnsaved = true;
    this.#write();
  }

  /** Never throws. */
  keep(certificate: ReadCertificate): void {
    this.#unsaved = certificate;
    this.#write();
  }

  /** Retries failed writes, once a minute. */
  writeAgain(): void {
    const isDue = this.#clock.now - this.#triedAt >= WRITE_AGAIN_MS;
    if (isDue && (this.#isStateUnsaved || this.#unsaved !== null)) this.#write();
  }

  #write(): void {
    this.#triedAt = this.#clock.now;
    try {
      // The certificate first: without it the rest is useless.
      if (this.#unsaved !== null) this.#store.saveCertificate(this.#unsaved);
      this.#unsaved = null;
      if (this.#isStateUnsaved) this.#store.saveState(this.#state);
      this.#isStateUnsaved = false;
    } catch (error) {
      if (!this.#problem.isNews(errorMessage(error), this.#clock.now)) return;
      const hint = error instanceof TowpathError ? error.hint : undefined;
      this.#log.error(
        { error: errorMessage(error), hint },
        'the new certificate cannot be written to the disk; it is in use, and the relay tries to write it again, but a restart before that loses it',
      );
      return;
    }
    if (this.#problem.end()) this.#log.info({}, 'the new certificate is on the disk now');
  }
}
