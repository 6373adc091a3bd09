import type { Logger } from 'pino';
import { openSourceAdmission } from '../admission/open.ts';
import { formatReport } from '../admission/report-text.ts';
import type { DueSources, SourceAdmission } from '../admission/source-admission.ts';
import type { AskingSource } from '../admission/source.ts';
import type { Clock } from '../base/clock.ts';
import type { AdmissionConfig } from '../config/schema/admission.ts';
import type { AdminPage } from '../http/admin.ts';
import type { Health } from '../observe/health.ts';
import { errorMessage } from '../base/errors.ts';
import type { Relay } from '../relay/relay.ts';

/** The relay starts at the latest after this time; a client that connects before a source has its list is refused and tries again. */
const START_MS = 3000;
const HEALTH_EVERY_MS = 1000;

/** The relay whose connections are reviewed. */
type ReviewedRelay = Pick<Relay, 'review'>;

interface AdmissionServiceParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: Health;
}

/** Admission in a running relay: starts the sources, reviews open connections, reports to health and to the admin page. */
export class AdmissionService {
  readonly admission: SourceAdmission;
  readonly #parts: AdmissionServiceParts;
  readonly #unsubscribes: (() => void)[] = [];
  #due: Set<AskingSource> | null = null;
  #isReviewing = false;
  #healthAt = 0;

  /** Throws a TowpathError when a key file is unusable. */
  constructor(config: AdmissionConfig, parts: AdmissionServiceParts) {
    this.#parts = parts;
    this.admission = openSourceAdmission(config, { clock: parts.clock, log: parts.log, now: Date.now });
  }

  /**
   * Resolves when the sources know their keys, or when it has taken too long. From now on the open connections of
   * `relay` are reviewed when a source wants it.
   */
  async start(relay: ReviewedRelay): Promise<void> {
    const { clock } = this.#parts;
    this.#unsubscribes.push(
      this.admission.onReview((due) => this.#review(relay, due)),
      clock.onTick((now) => this.#reportHealth(now)),
    );
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<void>((resolve) => (timer = setTimeout(resolve, START_MS)));
    await Promise.race([this.admission.start(), tooLong]);
    clearTimeout(timer);
    this.#reportHealth(clock.now);
  }

  stop(): void {
    for (const unsubscribe of this.#unsubscribes) unsubscribe();
    this.admission.stop();
  }

  get page(): AdminPage {
    return {
      help: 'admission sources and the last refusals',
      text: () => formatReport(this.admission.report()),
      json: () => this.admission.report(),
    };
  }

  /** Requests for a review during a review are done together after it. */
  #review(relay: ReviewedRelay, due: DueSources): void {
    this.#due = new Set([...(this.#due ?? []), ...due]);
    if (this.#isReviewing) return;
    this.#isReviewing = true;
    void this.#reviewAll(relay);
  }

  async #reviewAll(relay: ReviewedRelay): Promise<void> {
    for (let due = this.#takeDue(); due !== null; due = this.#takeDue()) {
      const round = due;
      let failed = 0;
      let lastError: unknown;
      await relay.review(
        (key, ip) => this.admission.review({ key, ip }, round),
        (error) => {
          failed++;
          lastError = error;
        },
      );
      // One line for a whole review: the same error often hits every connection.
      if (failed > 0) {
        const fields = { connections: failed, error: errorMessage(lastError) };
        this.#parts.log.error(fields, 'open connections could not be reviewed; they stay open');
      }
    }
    this.#isReviewing = false;
  }

  #takeDue(): DueSources | null {
    const due = this.#due;
    this.#due = null;
    return due;
  }

  #reportHealth(now: number): void {
    if (now < this.#healthAt) return;
    this.#healthAt = now + HEALTH_EVERY_MS;
    this.#parts.health.set('admission', this.admission.problem());
  }
}
