import { readFileSync } from 'node:fs';
import { errorMessage, TowpathError } from '../errors.ts';
import { fileStamp } from '../config/file-stamp.ts';
import { covers, readPair, type ReadCertificate } from './read.ts';
import type {
  CertificateInfo,
  CertificateLog,
  CertificatePair,
  CertificateSource,
  HealthReport,
  TickingClock,
} from './source.ts';

const DAY_MS = 86_400_000;
/** A certificate this close to its end should have been replaced by whoever replaces it. */
const EXPIRY_WARNING_MS = 7 * DAY_MS;
/** From here on the relay counts as not ready, while there is time to act; of short-lived ones in their last tenth. */
const EXPIRY_ALARM_MS = 3 * DAY_MS;
const EXPIRY_ALARM_PART = 0.1;

/** What {@link FileCertificateSource} needs. */
export interface FileCertificateOptions {
  readonly certPath: string;
  readonly keyPath: string;
  /** What clients ask for; a certificate that does not cover one of these is served with a warning. */
  readonly names: readonly string[];
  readonly pollSeconds: number;
  readonly clock: TickingClock;
  readonly log: CertificateLog;
  /** Where a certificate that nobody renews is reported. */
  readonly health?: HealthReport | undefined;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * A certificate from files that somebody else renews. Both files are looked at every `pollSeconds`: watching does not
 * work for mounted secrets, which are swapped by a symbolic link. A pair that is broken is refused, and the old one
 * stays until the next change.
 */
export class FileCertificateSource implements CertificateSource {
  readonly #options: FileCertificateOptions;
  readonly #listeners = new Set<(pair: CertificatePair) => void>();
  readonly #endTicks: () => void;
  #certificate: ReadCertificate;
  #stamp: string;
  #polledAt: number;
  /** Why changed files are not in use, or null. */
  #unusable: string | null = null;
  #warnedAt = Number.NEGATIVE_INFINITY;

  /** Throws a {@link TowpathError} when there is no usable pair at the start. */
  constructor(options: FileCertificateOptions) {
    this.#options = options;
    this.#stamp = fileStamp(options.certPath, options.keyPath);
    this.#certificate = load(options);
    this.#polledAt = options.clock.now;
    this.#warnAboutNames();
    this.#warnAboutExpiry();
    this.#report();
    this.#endTicks = options.clock.onTick((now) => this.#tick(now));
  }

  current(): CertificatePair {
    return this.#certificate.pair;
  }

  onChange(listener: (pair: CertificatePair) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  info(): CertificateInfo {
    return this.#certificate.info;
  }

  stop(): void {
    this.#endTicks();
    this.#listeners.clear();
  }

  #tick(now: number): void {
    if (now - this.#polledAt < this.#options.pollSeconds * 1000) return;
    this.#polledAt = now;
    const stamp = fileStamp(this.#options.certPath, this.#options.keyPath);
    if (stamp !== this.#stamp) {
      this.#stamp = stamp;
      this.#reload();
    }
    this.#warnAboutExpiry();
    this.#report();
  }

  #report(): void {
    const { certPath, health, now } = this.#options;
    const { notBefore, notAfter } = this.#certificate.info;
    const lifetime = notAfter.getTime() - notBefore.getTime();
    const isLate = notAfter.getTime() - now() < Math.min(EXPIRY_ALARM_MS, lifetime * EXPIRY_ALARM_PART);
    const why =
      this.#unusable === null ? 'nobody has replaced it' : `what replaced it is not usable: ${this.#unusable}`;
    health?.set('certificate', isLate ? `${certPath} ends on ${notAfter.toISOString()}, and ${why}` : null);
  }

  #reload(): void {
    const { certPath, log } = this.#options;
    const before = this.#certificate;
    try {
      this.#certificate = load(this.#options);
      this.#unusable = null;
    } catch (error) {
      this.#unusable = errorMessage(error);
      const hint = error instanceof TowpathError ? error.hint : undefined;
      log.error(
        { certPath, error: errorMessage(error), hint, notAfter: before.info.notAfter },
        'the changed certificate is not usable; the old one stays in use',
      );
      return;
    }
    if (
      before.pair.certPem === this.#certificate.pair.certPem &&
      before.pair.keyPem === this.#certificate.pair.keyPem
    ) {
      return;
    }
    const { names, notAfter, pinSha256 } = this.#certificate.info;
    log.info({ certPath, names, notAfter, pinSha256 }, 'certificate reloaded');
    this.#warnedAt = Number.NEGATIVE_INFINITY;
    this.#warnAboutNames();
    for (const listener of this.#listeners) listener(this.#certificate.pair);
  }

  #warnAboutNames(): void {
    const { certPath, log, names } = this.#options;
    const missing = names.filter((name) => !covers(this.#certificate.leaf, name));
    if (missing.length === 0) return;
    log.warn(
      { certPath, missing, names: this.#certificate.info.names },
      'the certificate is not for every name of this relay; clients that ask for the missing names will refuse it',
    );
  }

  #warnAboutExpiry(): void {
    const { certPath, log, now } = this.#options;
    const { notBefore, notAfter } = this.#certificate.info;
    const left = notAfter.getTime() - now();
    const early = now() < notBefore.getTime();
    if ((left > EXPIRY_WARNING_MS && !early) || now() - this.#warnedAt < DAY_MS) return;
    this.#warnedAt = now();
    if (early) log.warn({ certPath, notBefore }, 'the certificate is not valid yet; clients will refuse it');
    else if (left > 0) log.warn({ certPath, notAfter }, 'the certificate ends soon; nobody has replaced its files yet');
    else log.error({ certPath, notAfter }, 'the certificate has expired; clients will refuse it');
  }
}

function load({ certPath, keyPath }: FileCertificateOptions): ReadCertificate {
  return readPair({ certPem: readText(certPath), keyPem: readText(keyPath) }, certPath, keyPath);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new TowpathError('TOWPATH_CERTIFICATE_UNREADABLE', `${path}: ${errorMessage(error)}`, {
      hint: 'Check the path, and that the user that runs towpath may read it.',
      cause: error,
    });
  }
}
