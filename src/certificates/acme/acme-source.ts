import { errorMessage, TowpathError } from '../../errors.ts';
import { formatCertificateKey, generateCertificateKey, makeSelfSigned } from '../make.ts';
import { readPair, type ReadCertificate } from '../read.ts';
import { isFor } from '../renewal.ts';
import type {
  CertificateInfo,
  CertificateLog,
  CertificatePair,
  CertificateSource,
  ChallengeAnswers,
  HealthReport,
  TickingClock,
} from '../source.ts';
import { Answers } from './answers.ts';
import { AcmeFailure } from './failure.ts';
import { issue } from './issue.ts';
import type { OpenAcmeClient } from './port.ts';
import { askRenewalInfo, renewalId } from './renewal-info.ts';
import { alarmAt, LONGEST_WAIT_MS, momentIn, renewAt, retryAt } from './schedule.ts';
import { fingerprint, type AcmeSettings } from './settings.ts';
import { AcmeStore, type AcmeState } from './store.ts';
import { whereNamesPoint } from './where.ts';
import type { Fetch } from './web.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Between two looks at whether something is due. */
const LOOK_MS = 1000;
const STAND_IN_DAYS = 30;

/** What {@link AcmeCertificateSource} needs. */
export interface AcmeSourceOptions {
  readonly settings: AcmeSettings;
  readonly directory: string;
  readonly openClient: OpenAcmeClient;
  readonly fetch: Fetch;
  readonly clock: TickingClock;
  readonly log: CertificateLog;
  readonly health: HealthReport;
  readonly now: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
  /** The addresses of this machine, for the words when a name points elsewhere. */
  readonly publicIps: readonly string[];
  /** Told of each failed attempt. */
  readonly onFailure?: (problem: string) => void;
}

/**
 * A certificate from an authority: obtained, kept on the disk, renewed in time. Until there is one, a self-signed
 * certificate stands in, so that the relay is up and can answer the challenges itself.
 */
export class AcmeCertificateSource implements CertificateSource {
  readonly #answers = new Answers();
  readonly #options: AcmeSourceOptions;
  readonly #store: AcmeStore;
  readonly #listeners = new Set<(pair: CertificatePair) => void>();
  readonly #endTicks: () => void;
  #issued: ReadCertificate | null;
  #standIn: ReadCertificate | null = null;
  #state: AcmeState;
  #lookedAt: number;
  #isBusy = false;
  #isStopped = false;

  /** Throws a {@link TowpathError} when the directory cannot be used. */
  constructor(options: AcmeSourceOptions) {
    const { settings, directory, log, clock } = options;
    this.#options = options;
    this.#store = new AcmeStore(directory, settings.directory, settings.names[0]!, log);
    this.#issued = this.#store.certificate();
    this.#state = this.#store.state(fingerprint(settings));
    this.#lookedAt = clock.now;
    this.#announce();
    this.#report();
    this.#endTicks = clock.onTick((now) => {
      if (this.#isBusy || now - this.#lookedAt < LOOK_MS) return;
      this.#lookedAt = now;
      this.#isBusy = true;
      void this.#look().finally(() => (this.#isBusy = false));
    });
  }

  /** True when there is a certificate from the authority, valid or not. */
  get hasIssued(): boolean {
    return this.#issued !== null;
  }

  current(): CertificatePair {
    return this.#current().pair;
  }

  /** Looking for `acme-tls/1` has a price on Bun, for every connection: only who may be asked pays it. */
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
      ? { ...info, origin: `self-signed until ${this.#authority} has issued one`, provisional: true }
      : { ...info, origin: `from ${this.#authority}` };
  }

  reload(): void {
    // The relay itself writes these files, and holds what it wrote.
    const { notAfter, pinSha256 } = this.#current().info;
    this.#options.log.info({ notAfter, pinSha256 }, 'the certificate in use is the one that the authority issued last');
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
    this.#standIn ??= makeStandIn(this.#options.settings.names, this.#options.now());
    return this.#standIn;
  }

  #announce(): void {
    const { settings, log, now } = this.#options;
    const facts = { authority: this.#authority, names: settings.names };
    if (this.#issued === null) {
      log.warn(
        { ...facts, challenges: settings.challenges },
        'there is no certificate from the authority yet; a self-signed one is served until it has issued one, and clients refuse that',
      );
    } else if (!isFor(this.#issued, settings.names)) {
      log.warn({ ...facts, has: this.#issued.info.names }, 'the names changed; a new certificate is ordered');
    }
    const wait = this.#waitUntil() - now();
    if (this.#state.failures > 0 && wait > 0) {
      log.warn(
        { problem: this.#state.problem, failures: this.#state.failures, next: new Date(now() + wait) },
        'obtaining a certificate failed before this start; it is tried again at the time named',
      );
    }
  }

  /** A clock that was set back must not keep us from trying for longer than we would ever wait. */
  #waitUntil(): number {
    const latest = this.#options.now() + LONGEST_WAIT_MS;
    if (this.#state.notBefore > latest) this.#save({ notBefore: latest });
    return this.#state.notBefore;
  }

  /** Does what is due; never rejects. */
  async #look(): Promise<void> {
    try {
      if (this.#issued !== null) await this.#lookAtRenewalInfo(this.#issued);
      if (!this.#isStopped && this.#isDue() && this.#options.now() >= this.#waitUntil()) await this.#obtain();
      this.#report();
    } catch (error) {
      // Only the disk is left to fail: without it neither a certificate nor the wait can be kept.
      this.#options.log.error({ error: errorMessage(error) }, 'the certificate cannot be looked after');
      this.#options.health.set('certificate', errorMessage(error));
    }
  }

  #isDue(): boolean {
    const issued = this.#issued;
    if (issued === null || !isFor(issued, this.#options.settings.names)) return true;
    return this.#options.now() >= this.#renewAt(issued);
  }

  #renewAt({ info }: ReadCertificate): number {
    const { renewal } = this.#state;
    return renewAt(info, renewal?.pinSha256 === info.pinSha256 ? renewal.at : null);
  }

  async #lookAtRenewalInfo({ leaf, info: { pinSha256 } }: ReadCertificate): Promise<void> {
    const { fetch, log, now, random, settings } = this.#options;
    const known = this.#state.renewal?.pinSha256 === pinSha256 ? this.#state.renewal : null;
    // A clock that was set back would leave the next look in a far future.
    if (known !== null && now() < known.lookAt && known.lookAt - now() <= DAY_MS) return;
    try {
      const { window, explanation, lookAgainMs } = await askRenewalInfo(fetch, settings.directory, leaf, now());
      const isNews = window?.start !== known?.window?.start || window?.end !== known?.window?.end;
      const at = window === null ? null : isNews ? momentIn(window, random()) : (known?.at ?? null);
      this.#save({ renewal: { pinSha256, window, at, lookAt: now() + lookAgainMs } });
      if (isNews && at !== null) log.info({ at: new Date(at), explanation }, 'the authority advises when to renew');
    } catch (error) {
      if (error instanceof TowpathError) throw error;
      this.#save({ renewal: { pinSha256, window: null, at: null, ...known, lookAt: now() + HOUR_MS } });
    }
  }

  async #obtain(): Promise<void> {
    const { settings, log } = this.#options;
    log.info({ authority: this.#authority, names: settings.names }, 'ordering a certificate');
    const parts = { ...this.#options, store: this.#store, answers: this.#answers };
    const replaces = this.#issued === null ? null : renewalId(this.#issued.leaf);
    try {
      const certificate = await issue(parts, this.#state, replaces);
      this.#save({ failures: 0, notBefore: 0, problem: null, order: null, renewal: null });
      if (!this.#isStopped) this.#use(certificate);
    } catch (error) {
      await this.#failed(error);
    }
  }

  #use(certificate: ReadCertificate): void {
    this.#issued = certificate;
    this.#standIn = null;
    const { names, notAfter, pinSha256 } = certificate.info;
    this.#options.log.info(
      { authority: this.#authority, names, notAfter, pinSha256, renewal: new Date(this.#renewAt(certificate)) },
      'the authority has issued a certificate; it is in use, and open connections go on',
    );
    for (const listener of this.#listeners) listener(certificate.pair);
  }

  async #failed(error: unknown): Promise<void> {
    const { log, now, random, settings, publicIps, onFailure } = this.#options;
    const failure = error instanceof AcmeFailure ? error : new AcmeFailure('local', errorMessage(error));
    const hint = error instanceof AcmeFailure || error instanceof TowpathError ? error.hint : undefined;
    const where = failure.kind === 'challenge' ? await whereNamesPoint(settings.names, publicIps) : null;
    const problem = where === null ? failure.message : `${failure.message}; ${where}`;
    const failures = this.#state.failures + 1;
    const notBefore = retryAt(now(), failures, failure, random());
    // An order that failed is of no use; one that we could only not ask about may be.
    const order = failure.kind === 'unreachable' ? this.#store.state(this.#state.fingerprint).order : null;
    this.#save({ failures, notBefore, problem, order });
    log.error({ problem, hint, failures, next: new Date(notBefore) }, 'no certificate was issued; it is tried again');
    onFailure?.(problem);
  }

  #save(change: Partial<AcmeState>): void {
    this.#state = { ...this.#state, ...change };
    this.#store.saveState(this.#state);
  }

  #report(): void {
    if (!this.#isStopped) this.#options.health.set('certificate', this.#problem());
  }

  #problem(): string | null {
    const { failures, problem } = this.#state;
    if (this.#issued === null) {
      return `${this.#authority} has issued no certificate yet: ${problem ?? 'it was not asked before'}`;
    }
    const { info } = this.#issued;
    if (failures === 0 || this.#options.now() < alarmAt(info, this.#renewAt(this.#issued))) return null;
    return `the certificate ends on ${info.notAfter.toISOString()} and cannot be renewed: ${problem ?? 'unknown'}`;
  }
}

function makeStandIn(names: readonly string[], now: number): ReadCertificate {
  const key = generateCertificateKey();
  const dates = { notBefore: new Date(now - HOUR_MS), notAfter: new Date(now + STAND_IN_DAYS * DAY_MS) };
  const certPem = makeSelfSigned({ names, ...dates }, key);
  return readPair({ certPem, keyPem: formatCertificateKey(key) }, 'the stand-in certificate', 'its key');
}
