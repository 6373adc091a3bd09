import type { Logger } from 'pino';
import type { KeyDenial } from '../admission/key-denials.ts';
import type { NodeFacts } from '../admission/node-facts.ts';
import { openSourceAdmission } from '../admission/open.ts';
import { formatReport } from '../admission/report-text.ts';
import type { AdmissionReport, DueSources, SourceAdmission } from '../admission/source-admission.ts';
import type { AskingSource, SourceParts } from '../admission/source.ts';
import { SLOW_TICK_MS, type Clock } from '../base/clock.ts';
import { withinTime } from '../base/within-time.ts';
import type { AdmissionConfig } from '../config/schema/admission.ts';
import type { AdminPage } from '../http/admin.ts';
import type { Health } from '../observe/health.ts';
import type { MetricDefinition } from '../observe/metrics.ts';
import { errorMessage, internalError } from '../base/errors.ts';
import type { Relay } from '../relay/relay.ts';
import type { Admission, AdmissionRequest, AdmissionVerdict } from '../relay/session/admission.ts';

/**
 * Longest time that the start waits for the sources. A client that connects before a source has its list is refused and
 * tries again.
 */
const START_MS = 3000;
const HEALTH_EVERY_MS = 1000;

/** The relay whose connections are reviewed. */
type ReviewedRelay = Pick<Relay, 'review'>;

interface AdmissionServiceParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: Health;
}

/**
 * Admission in a running relay: it starts the sources, reviews open connections, and reports to health and the admin
 * page. A reload replaces the sources.
 */
export class AdmissionService implements Admission {
  readonly #parts: AdmissionServiceParts;
  readonly #sourceParts: SourceParts;
  readonly #exempt = new Map<Buffer, () => void>();
  readonly #listeners = new Set<() => void>();
  #current: SourceAdmission;
  /** The next sources, which take over when they have started, or null. */
  #next: SourceAdmission | null = null;
  #relay: ReviewedRelay | null = null;
  #unsubscribe: () => void = () => undefined;
  #leaveClock: () => void = () => undefined;
  #isStopped = false;
  #due: Set<AskingSource> | null = null;
  #isReviewing = false;
  #healthAt = 0;

  /** Throws a TowpathError when a key file is unusable. */
  constructor(config: AdmissionConfig, parts: AdmissionServiceParts) {
    this.#parts = parts;
    this.#sourceParts = { clock: parts.clock, log: parts.log, now: Date.now };
    this.#current = openSourceAdmission(config, this.#sourceParts);
  }

  admit(request: AdmissionRequest): AdmissionVerdict | Promise<AdmissionVerdict> {
    return this.#current.admit(request);
  }

  /** Returns the named source's facts about a key (64 hex digits); null when it does not know the key. */
  facts(source: string, key: string): NodeFacts | null {
    return this.#current.facts(source, key);
  }

  /** Returns the name of the first source that knows a key (64 hex digits); null when none does. */
  sourceOf(key: string): string | null {
    return this.#current.sourceOf(key);
  }

  /** Admits `key` without the sources, for the self-test; returns a function that ends this. */
  exempt(key: Buffer): () => void {
    this.#exempt.set(key, this.#current.exempt(key));
    return () => {
      this.#exempt.get(key)?.();
      this.#exempt.delete(key);
    };
  }

  /** Denies a key for a time and ends its connections. Returns false when there are too many denials. */
  deny(denial: KeyDenial): boolean {
    return this.#current.deny(denial);
  }

  /** Removes the denial of a key (64 hex digits); returns whether there was one. */
  allow(key: string): boolean {
    return this.#current.allow(key);
  }

  /** Returns whether an operator or a deny list denies a key (64 hex digits). */
  isDenied(key: string): boolean {
    return this.#current.isDenied(key);
  }

  /** The keys that are denied now. */
  get denials(): readonly KeyDenial[] {
    return this.#current.denials;
  }

  /** The state of the sources and the last refusals. */
  report(): AdmissionReport {
    return this.#current.report();
  }

  /** Calls `listener` after each review of the open connections; returns a function that unsubscribes. */
  onReviewed(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Resolves when the sources know their keys, or after {@link START_MS}. From now on the open connections of `relay`
   * are reviewed when a source asks for it.
   */
  async start(relay: ReviewedRelay): Promise<void> {
    const { clock } = this.#parts;
    this.#relay = relay;
    this.#leaveClock = clock.onTick((now) => this.#reportHealth(now), SLOW_TICK_MS);
    this.#unsubscribe = this.#current.onReview((due) => this.#review(relay, due));
    await withinTime(this.#current.start(), START_MS);
    this.#reportHealth(clock.now);
  }

  /** Reads all files and lists again, now. */
  reloadFiles(): void {
    this.#current.reload();
  }

  /**
   * Replaces the sources when the new ones have started, or after {@link START_MS}. Until then the present ones decide.
   * Throws a TowpathError, and changes nothing, when a key file is unusable.
   */
  replace(config: AdmissionConfig): void {
    const next = openSourceAdmission(config, this.#sourceParts, this.#current.shared);
    this.#next?.stop();
    this.#next = next;
    withinTime(next.start(), START_MS).then(
      () => this.#takeOver(next),
      (error: unknown) => internalError('admission', error),
    );
  }

  /** Stops the sources and the reviews. */
  stop(): void {
    this.#isStopped = true;
    this.#unsubscribe();
    this.#leaveClock();
    this.#next?.stop();
    this.#current.stop();
  }

  /** The metrics of the present sources. */
  metrics(): MetricDefinition[] {
    return this.#current.metrics().map((definition) => ({
      ...definition,
      read: () =>
        this.#current
          .metrics()
          .find(({ name }) => name === definition.name)
          ?.read() ?? [],
    }));
  }

  get page(): AdminPage {
    return {
      help: 'admission sources and the last refusals',
      text: () => formatReport(this.#current.report()),
      json: () => this.#current.report(),
    };
  }

  #takeOver(next: SourceAdmission): void {
    // A later reload has other sources.
    if (this.#isStopped || this.#next !== next) return;
    this.#next = null;
    this.#unsubscribe();
    for (const [key, end] of this.#exempt) {
      end();
      this.#exempt.set(key, next.exempt(key));
    }
    this.#current.stop();
    this.#current = next;
    this.#reportHealth(this.#parts.clock.now);
    this.#parts.log.info(
      { sources: next.report().sources.map(({ name }) => name) },
      'other admission sources decide now',
    );
    const relay = this.#relay;
    if (relay === null) return;
    this.#unsubscribe = next.onReview((due) => this.#review(relay, due));
    this.#review(relay, next.asked);
  }

  /** Requests that come during a review are handled together after it. */
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
        (key, ip) => this.#current.review({ key, ip }, round),
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
      for (const listener of this.#listeners) listener();
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
    this.#parts.health.set('admission', this.#current.problem());
  }
}
