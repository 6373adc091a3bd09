import { SLOW_TICK_MS, type TickingClock } from '../../base/clock.ts';
import { errorMessage, TowpathError } from '../../base/errors.ts';
import { BUILD_DATE_MS } from '../build-date.ts';
import { formatCertificateKey, generateCertificateKey, makeSelfSigned } from '../make-certificate.ts';
import { readPair, type ReadCertificate } from '../read.ts';
import { isFor } from '../renewal.ts';
import type { CertificateInfo, CertificatePair, CertificateSource, ChallengeAnswers, HealthReport } from '../source.ts';
import { AcmeChallengeAnswers } from './challenge-answers.ts';
import { AcmeFailure } from './failure.ts';
import { issue } from './issue.ts';
import { AcmeProgress } from './progress.ts';
import type { OpenAcmeClient } from './port.ts';
import { askRenewalInfo, renewalId } from './renewal-info.ts';
import { alarmAt, momentIn, pauseAfterSuccess, renewAt, retryAt } from './schedule.ts';
import { fingerprint, type AcmeSettings } from './settings.ts';
import { AcmeStore } from './store.ts';
import { describeWrongDns } from './check-dns.ts';
import { CLOCK_HINT, readDirectory, type Requester } from './authority-requests.ts';
import type { EventLog } from '../../base/event-log.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Time between checks for due work. */
const CHECK_MS = 1000;
const TEMPORARY_DAYS = 30;
/** The authority's time has whole seconds, and clocks always differ a little. */
const CLOCK_TOLERANCE_MS = 60_000;

/** Options of {@link AcmeCertificateSource}. */
export interface AcmeSourceOptions {
  readonly settings: AcmeSettings;
  readonly directory: string;
  readonly openClient: OpenAcmeClient;
  readonly request: Requester;
  readonly clock: TickingClock;
  readonly log: EventLog;
  readonly health: HealthReport;
  readonly now: () => number;
  /** Returns a random number from 0 to 1. */
  readonly random: () => number;
  /** The addresses of this machine, for the message when a name points to another one. */
  readonly publicIps: readonly string[];
  /** Called after each failed attempt that is not caused by a wrong clock. */
  readonly onFailure?: (problem: string) => void;
}

/**
 * A certificate from an authority: ordered, stored on the disk, renewed in time. Until there is one, a self-signed
 * certificate is used, so that the relay runs and can answer the challenges.
 */
export class AcmeCertificateSource implements CertificateSource {
  readonly #answers = new AcmeChallengeAnswers();
  readonly #options: AcmeSourceOptions;
  readonly #store: AcmeStore;
  readonly #listeners = new Set<(pair: CertificatePair) => void>();
  readonly #endTicks: () => void;
  #issued: ReadCertificate | null;
  #temporary: ReadCertificate | null = null;
  readonly #memory: AcmeProgress;
  #checkedAt: number;
  /** Monotonic time, so that a jump of the wall clock does not change when the authority is asked. */
  #orderFrom: number;
  #renewalInfoFrom: number;
  #isBusy = false;
  #isStopped = false;

  /** Throws a {@link TowpathError} when the directory cannot be used. */
  constructor(options: AcmeSourceOptions) {
    const { settings, directory, log, clock } = options;
    this.#options = options;
    this.#store = new AcmeStore(directory, settings.directory, settings.names[0]!, log);
    this.#issued = this.#store.certificate();
    this.#memory = new AcmeProgress(this.#store, fingerprint(settings), options);
    this.#checkedAt = clock.now;
    this.#orderFrom = clock.now + this.#waitLeft();
    this.#renewalInfoFrom = clock.now + this.#renewalInfoLeft();
    this.#announce();
    this.#report();
    this.#endTicks = clock.onTick((now) => {
      if (this.#isBusy || now - this.#checkedAt < CHECK_MS) return;
      this.#checkedAt = now;
      this.#isBusy = true;
      void this.#check().finally(() => (this.#isBusy = false));
    }, SLOW_TICK_MS);
  }

  /** True when there is a certificate from the authority, valid or not. */
  get hasIssued(): boolean {
    return this.#issued !== null;
  }

  current(): CertificatePair {
    return this.#current().pair;
  }

  /** On Bun, the check for `acme-tls/1` costs memory for every connection, so it is on only where it is needed. */
  get challenges(): ChallengeAnswers {
    const { httpResponse, alpnCertificate } = this.#answers;
    return this.#options.settings.challenges.includes('tls-alpn-01')
      ? { httpResponse, alpnCertificate }
      : { httpResponse };
  }

  onChange(listener: (pair: CertificatePair) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  info(): CertificateInfo {
    const { info } = this.#current();
    return this.#issued === null
      ? { ...info, origin: `self-signed until ${this.#authority} has issued a certificate`, provisional: true }
      : { ...info, origin: `from ${this.#authority}` };
  }

  /** Reads the relay's own files again: the operator may have restored a backup or freed space on the disk. */
  reload(): void {
    const { log } = this.#options;
    this.#memory.writeAgain();
    try {
      const found = this.#store.certificate();
      const { pinSha256 } = this.#current().info;
      if (found === null && this.#issued !== null) this.#memory.keep(this.#issued);
      if (found !== null && found.info.pinSha256 !== pinSha256) {
        this.#use(found, 'the certificate was changed on the disk and is in use');
        return;
      }
      const { notAfter } = this.#current().info;
      log.info(
        { certPath: this.#store.certPath, notAfter, pinSha256 },
        'the certificate was read again: nothing has changed',
      );
    } catch (error) {
      log.error({ error: errorMessage(error) }, 'the certificate cannot be read again; the one in use stays');
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#endTicks();
    this.#listeners.clear();
  }

  get #authority(): string {
    return URL.parse(this.#options.settings.directory)?.host ?? this.#options.settings.directory;
  }

  #current(): ReadCertificate {
    if (this.#issued !== null) return this.#issued;
    this.#temporary ??= makeTemporary(this.#options.settings.names, this.#options.now());
    return this.#temporary;
  }

  #announce(): void {
    const { settings, log, now } = this.#options;
    const facts = { authority: this.#authority, names: settings.names };
    if (this.#issued === null) {
      log.warn(
        { ...facts, challenges: settings.challenges },
        'the authority has not issued a certificate yet; until then the relay uses a self-signed one, which clients refuse',
      );
    } else if (!isFor(this.#issued, settings.names)) {
      log.warn({ ...facts, has: this.#issued.info.names }, 'the names changed; a new certificate is ordered');
    }
    const wait = this.#orderFrom - this.#options.clock.now;
    const { failures, problem } = this.#memory.state;
    if (failures > 0 && wait > 0) {
      log.warn(
        { problem, failures, next: new Date(now() + wait) },
        'getting a certificate failed before this start; the relay tries again at the given time',
      );
    }
  }

  /** The rest of the wait from an earlier start; a clock that was set back must not make it longer. */
  #waitLeft(): number {
    const { failures, notBefore, waitMs } = this.#memory.state;
    const isMissing = this.#issued === null && failures === 0;
    return isMissing ? 0 : Math.min(Math.max(notBefore - this.#options.now(), 0), waitMs);
  }

  #renewalInfoLeft(): number {
    const { renewal } = this.#memory.state;
    if (renewal === null || renewal.pinSha256 !== this.#issued?.info.pinSha256) return 0;
    return Math.min(Math.max(renewal.lookAt - this.#options.now(), 0), DAY_MS);
  }

  /** Orders or renews when it is due; never rejects. */
  async #check(): Promise<void> {
    const { clock, log, health } = this.#options;
    try {
      this.#memory.writeAgain();
      if (this.#issued === null) this.#renewTemporary();
      else if (clock.now >= this.#renewalInfoFrom) await this.#readRenewalInfo(this.#issued);
      if (!this.#isStopped && clock.now >= this.#orderFrom && this.#isDue(this.#options.now())) await this.#obtain();
      this.#report();
    } catch (error) {
      log.error({ error: errorMessage(error) }, 'the check of the certificate failed');
      health.set('certificate', errorMessage(error));
    }
  }

  /** Replaces the temporary self-signed certificate when it was made with a wrong clock, or weeks ago. */
  #renewTemporary(): void {
    const { info } = this.#current();
    const now = this.#options.now();
    if (info.notBefore.getTime() <= now && now < info.notAfter.getTime()) return;
    this.#temporary = null;
    const { pair } = this.#current();
    for (const listener of this.#listeners) listener(pair);
  }

  /** `now` is from our clock, or from the authority's clock. */
  #isDue(now: number): boolean {
    return this.#isMissing() || now >= this.#renewAt(this.#issued!);
  }

  #isMissing(): boolean {
    return this.#issued === null || !isFor(this.#issued, this.#options.settings.names);
  }

  #renewAt({ info }: ReadCertificate): number {
    const { renewal } = this.#memory.state;
    return renewAt(info, renewal?.pinSha256 === info.pinSha256 ? renewal.at : null);
  }

  async #readRenewalInfo({ leaf, info: { pinSha256 } }: ReadCertificate): Promise<void> {
    const { clock, request, log, now, random, settings } = this.#options;
    const { renewal } = this.#memory.state;
    const known = renewal?.pinSha256 === pinSha256 ? renewal : null;
    let checkAgainMs = HOUR_MS;
    try {
      const found = await askRenewalInfo(request, settings.directory, leaf, now());
      const { window, explanation } = found;
      checkAgainMs = found.checkAgainMs;
      const isNews = window?.start !== known?.window?.start || window?.end !== known?.window?.end;
      const at = window === null ? null : isNews ? momentIn(window, random()) : (known?.at ?? null);
      this.#memory.remember({ renewal: { pinSha256, window, at, lookAt: now() + checkAgainMs } });
      if (isNews && at !== null) log.info({ at: new Date(at), explanation }, 'the authority advises when to renew');
    } catch {
      const lookAt = now() + checkAgainMs;
      this.#memory.remember({ renewal: { pinSha256, window: null, at: null, ...known, lookAt } });
    }
    this.#renewalInfoFrom = clock.now + checkAgainMs;
  }

  async #obtain(): Promise<void> {
    const { clock, request, log, now, settings } = this.#options;
    const replaces = this.#issued === null ? null : renewalId(this.#issued.leaf);
    try {
      if (!this.#isMissing()) await this.#checkClock(request, settings.directory);
      log.info({ authority: this.#authority, names: settings.names }, 'ordering a certificate');
      const certificate = await issue(
        {
          ...this.#options,
          store: this.#store,
          answers: this.#answers,
          rememberOrder: (order) => this.#memory.remember({ order }),
        },
        this.#memory.state,
        replaces,
      );
      this.#memory.keep(certificate);
      const waitMs = pauseAfterSuccess(certificate.info);
      const notBefore = now() + waitMs;
      this.#memory.remember({ failures: 0, notBefore, waitMs, problem: null, order: null, renewal: null });
      this.#orderFrom = clock.now + waitMs;
      this.#renewalInfoFrom = clock.now;
      if (!this.#isStopped)
        this.#use(certificate, 'the authority has issued a certificate; it is in use, and open connections stay');
    } catch (error) {
      await this.#failed(error);
    }
  }

  /** Checks our clock against the authority's: with a wrong clock, the next renewal would be due at once. */
  async #checkClock(request: Requester, directory: string): Promise<void> {
    const { now: theirs } = await readDirectory(request, directory);
    if (theirs === null || this.#isDue(theirs + CLOCK_TOLERANCE_MS)) return;
    const message = `this machine's clock is wrong: by the clock of ${this.#authority} the certificate need not be renewed yet`;
    throw new AcmeFailure('clock', message, { hint: CLOCK_HINT });
  }

  #use(certificate: ReadCertificate, message: string): void {
    this.#issued = certificate;
    this.#temporary = null;
    const { names, notAfter, pinSha256 } = certificate.info;
    this.#options.log.info(
      { authority: this.#authority, names, notAfter, pinSha256, renewal: new Date(this.#renewAt(certificate)) },
      message,
    );
    for (const listener of this.#listeners) listener(certificate.pair);
  }

  async #failed(error: unknown): Promise<void> {
    const { clock, log, now, random, settings, publicIps, onFailure } = this.#options;
    const failure = error instanceof AcmeFailure ? error : new AcmeFailure('local', errorMessage(error));
    const hint = error instanceof AcmeFailure || error instanceof TowpathError ? error.hint : undefined;
    const where = failure.kind === 'challenge' ? await describeWrongDns(settings.names, publicIps) : null;
    const problem = where === null ? failure.message : `${failure.message}; ${where}`;
    const { failures: before, order } = this.#memory.state;
    const failures = before + 1;
    const notBefore = retryAt(now(), failures, failure, random());
    const waitMs = notBefore - now();
    this.#orderFrom = clock.now + waitMs;
    // A failed order is useless. An order whose state could not be read may still work.
    const isOpen = failure.kind === 'unreachable' || failure.kind === 'clock';
    this.#memory.remember({ failures, notBefore, waitMs, problem, order: isOpen ? order : null });
    log.error(
      { problem, hint, failures, next: new Date(notBefore) },
      'no certificate was issued; the relay tries again',
    );
    if (failure.kind !== 'clock' && now() >= BUILD_DATE_MS) onFailure?.(problem);
  }

  #report(): void {
    if (!this.#isStopped) this.#options.health.set('certificate', this.#problem());
  }

  #problem(): string | null {
    const { failures, problem } = this.#memory.state;
    if (this.#issued === null) {
      return `${this.#authority} has not issued a certificate yet: ${problem ?? 'it was not asked before'}`;
    }
    const { info } = this.#issued;
    if (failures === 0 || this.#options.now() < alarmAt(info, this.#renewAt(this.#issued))) return null;
    return `the certificate ends on ${info.notAfter.toISOString()} and cannot be renewed: ${problem ?? 'unknown'}`;
  }
}

function makeTemporary(names: readonly string[], now: number): ReadCertificate {
  const key = generateCertificateKey();
  const dates = { notBefore: new Date(now - HOUR_MS), notAfter: new Date(now + TEMPORARY_DAYS * DAY_MS) };
  const certPem = makeSelfSigned({ names, ...dates }, key);
  return readPair({ certPem, keyPem: formatCertificateKey(key) }, 'the temporary certificate', 'its key');
}
