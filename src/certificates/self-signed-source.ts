import { errorMessage, TowpathError } from '../errors.ts';
import { fileStamp, NEVER_READ } from '../config/file-stamp.ts';
import { LastingProblem } from './lasting-problem.ts';
import {
  announced,
  isFor,
  loadOrCreate,
  prepareNext,
  replaceNow,
  switchAt,
  type Held,
  type RenewalPolicy,
} from './renewal.ts';
import type { ReadCertificate } from './read.ts';
import type {
  CertificateInfo,
  CertificateLog,
  CertificatePair,
  CertificateSource,
  HealthReport,
  TickingClock,
} from './source.ts';
import { CertificateStore } from './store.ts';

const CHECK_MS = 3_600_000;
const DAY_MS = 86_400_000;
const MAP_HINT = 'Run "towpath derp-map" now and put its output into the DERP map.';

/** What {@link SelfSignedCertificateSource} needs. */
export interface SelfSignedOptions extends RenewalPolicy {
  readonly directory: string;
  /** How soon a certificate that the operator put in place is taken up. */
  readonly pollSeconds: number;
  readonly clock: TickingClock;
  readonly log: CertificateLog;
  /** Where a certificate that cannot be renewed is reported. */
  readonly health?: HealthReport | undefined;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
}

/** A certificate of our own making that clients pin; `renewal.ts` says how it is replaced. */
export class SelfSignedCertificateSource implements CertificateSource {
  readonly #options: SelfSignedOptions;
  readonly #store: CertificateStore;
  readonly #listeners = new Set<(pair: CertificatePair) => void>();
  readonly #endTicks: () => void;
  /** Why the files are not in use. */
  readonly #unusable = new LastingProblem();
  /** Why what is due cannot be written. */
  readonly #unwritable = new LastingProblem();
  #held: Held;
  #stamp: string;
  #polledAt: number;
  #checkedAt: number;
  #announcedAt = Number.NEGATIVE_INFINITY;

  /** Throws a {@link TowpathError} when the stored files are broken or the directory cannot be used. */
  constructor(options: SelfSignedOptions) {
    const { clock, directory, log, names, now } = options;
    this.#options = options;
    this.#store = new CertificateStore(directory, names[0]!);
    this.#held = loadOrCreate(this.#store, options, now(), log);
    if (this.#store.keyIsOpenToOthers()) {
      log.warn({ keyPath: this.#store.keyPath }, 'the key can be read by others than its owner; run "chmod 600" on it');
    }
    this.#checkNames();
    this.#check();
    this.#stamp = this.#readStamp();
    this.#polledAt = clock.now;
    this.#checkedAt = clock.now;
    this.#endTicks = clock.onTick((tick) => this.#tick(tick));
  }

  current(): CertificatePair {
    return this.#held.current.pair;
  }

  onChange(listener: (pair: CertificatePair) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  info(): CertificateInfo {
    return { ...this.#held.current.info, next: announced(this.#held, this.#options) };
  }

  reload(): void {
    const before = this.#held;
    this.#unusable.end();
    this.#takeUp(this.#readStamp());
    if (this.#unusable.text === null && this.#held === before) {
      const { notAfter, pinSha256 } = before.current.info;
      const facts = { certPath: this.#store.certPath, notAfter, pinSha256 };
      this.#options.log.info(facts, 'the certificate was read again: nothing has changed');
    }
  }

  stop(): void {
    this.#endTicks();
    this.#listeners.clear();
  }

  #tick(tick: number): void {
    if (tick - this.#polledAt >= this.#options.pollSeconds * 1000) {
      this.#polledAt = tick;
      const stamp = this.#readStamp();
      if (stamp !== this.#stamp) this.#takeUp(stamp);
    }
    if (tick - this.#checkedAt >= CHECK_MS) {
      this.#checkedAt = tick;
      this.#checkOrReport();
    }
  }

  #readStamp(): string {
    return fileStamp(this.#store.certPath, this.#store.keyPath);
  }

  #checkOrReport(): void {
    const { health } = this.#options;
    try {
      this.#check();
      this.#unwritable.end();
      health?.set('certificate', null);
    } catch (error) {
      const { notAfter } = this.#held.current.info;
      this.#sayProblem(this.#unwritable, error, 'the certificate could not be renewed; it is tried again');
      const text = `the certificate ends on ${notAfter.toISOString()} and cannot be renewed: ${errorMessage(error)}`;
      health?.set('certificate', text);
    }
  }

  #sayProblem(problem: LastingProblem, error: unknown, message: string): void {
    const { clock, log } = this.#options;
    if (!problem.isNews(errorMessage(error), clock.now)) return;
    const hint = error instanceof TowpathError ? error.hint : undefined;
    log.error({ error: errorMessage(error), hint, notAfter: this.#held.current.info.notAfter }, message);
  }

  /** The operator moved the next certificate into place before its date, restored one, or changed who may read it. */
  #takeUp(stamp: string): void {
    let current: ReadCertificate;
    let next: ReadCertificate | null;
    try {
      current = this.#store.loadCurrent();
      next = this.#store.loadNext();
    } catch (error) {
      this.#stamp = NEVER_READ;
      this.#sayProblem(this.#unusable, error, 'the changed certificate is not usable; the old one stays in use');
      return;
    }
    this.#stamp = stamp;
    if (this.#unusable.end()) {
      this.#options.log.info({ certPath: this.#store.certPath }, 'the certificate can be read again');
    }
    if (current.info.pinSha256 === this.#held.current.info.pinSha256) return;
    this.#use({ current, next }, 'info', 'the certificate was changed on the disk and is in use');
  }

  #checkNames(): void {
    const { log, names, now } = this.#options;
    const before = this.#held.current.info;
    if (isFor(this.#held.current, names)) return;
    this.#held = replaceNow(this.#store, this.#options, now());
    const { pinSha256 } = this.#held.current.info;
    log.warn(
      { oldNames: before.names, names, oldPinSha256: before.pinSha256, pinSha256 },
      `the names of the relay changed, so there is a new certificate; clients with the old pin cannot connect. ${MAP_HINT}`,
    );
  }

  #check(): void {
    const now = this.#options.now();
    const wasAnnounced = this.#held.next !== null;
    this.#held = prepareNext(this.#store, this.#held, this.#options, now);
    if (this.#held.next === null) return;
    if (now < switchAt(this.#held, this.#options)) {
      this.#announce(now);
      return;
    }
    const held = { current: this.#held.next, next: null };
    this.#store.activateNext();
    this.#stamp = this.#readStamp();
    if (wasAnnounced) this.#use(held, 'warn', 'the announced certificate is in use now');
    else this.#use(held, 'error', 'the certificate had ended or was about to, so a new one is in use without notice');
  }

  #announce(now: number): void {
    if (now - this.#announcedAt < DAY_MS) return;
    this.#announcedAt = now;
    const { certPath, nextPath } = this.#store;
    const next = announced(this.#held, this.#options)!;
    this.#options.log.warn(
      { pinSha256: this.#held.current.info.pinSha256, nextPinSha256: next.pinSha256, from: next.from },
      `the certificate and its pin change on ${next.from.toISOString()}. To choose a better time before that, run "mv ${nextPath} ${certPath}". Then run "towpath derp-map" and put its output into the DERP map at once: clients with the old pin cannot connect any more`,
    );
  }

  #use(held: Held, level: 'info' | 'warn' | 'error', message: string): void {
    const old = this.#held.current.info;
    this.#held = held;
    this.#announcedAt = Number.NEGATIVE_INFINITY;
    const { names, notAfter, pinSha256 } = held.current.info;
    this.#options.log[level](
      { names, oldPinSha256: old.pinSha256, pinSha256, notAfter },
      `${message}; clients with the old pin cannot connect any more. ${MAP_HINT}`,
    );
    for (const listener of this.#listeners) listener(held.current.pair);
  }
}

/** What a command that only looks may know: makes what is missing, but neither switches nor replaces. */
export function inspectSelfSigned(options: Omit<SelfSignedOptions, 'clock' | 'pollSeconds'>): CertificateInfo {
  const store = new CertificateStore(options.directory, options.names[0]!);
  const held = loadOrCreate(store, options, options.now(), options.log);
  if (isFor(held.current, options.names)) {
    const prepared = prepareNext(store, held, options, options.now());
    return { ...prepared.current.info, next: announced(prepared, options) };
  }
  options.log.warn(
    { certPath: store.certPath, has: held.current.info.names, wanted: options.names },
    'the stored certificate is for other names; the relay makes a new one, with a new pin, at its next start',
  );
  return held.current.info;
}
