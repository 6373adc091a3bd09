import { SLOW_TICK_MS, type TickingClock } from '../base/clock.ts';
import { fileStamp, NEVER_READ } from '../base/file-stamp.ts';
import { isOpenToEveryone } from '../base/private-file.ts';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { LastingProblem } from './lasting-problem.ts';
import { covers, readCertificateFile, readPair, type ReadCertificate } from './read.ts';
import type { CertificateInfo, CertificatePair, CertificateSource, HealthReport } from './source.ts';
import type { EventLog } from '../base/event-log.ts';
import { unreadable } from './file-errors.ts';

const DAY_MS = 86_400_000;
/** A certificate this close to its expiry should have been replaced. */
const EXPIRY_WARNING_MS = 7 * DAY_MS;
/**
 * From this time before the end, the relay counts as not ready. For short-lived certificates it is the last tenth of
 * their life.
 */
const EXPIRY_ALARM_MS = 3 * DAY_MS;
const EXPIRY_ALARM_PART = 0.1;

/** Options of {@link FileCertificateSource}. */
export interface FileCertificateOptions {
  readonly certPath: string;
  readonly keyPath: string;
  /** Names that clients use. A certificate without one of them is served with a warning. */
  readonly names: readonly string[];
  readonly pollSeconds: number;
  readonly clock: TickingClock;
  readonly log: EventLog;
  /** Receives the problem of a certificate that is not renewed. */
  readonly health?: HealthReport | undefined;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * A certificate from files that another program renews. Both files are checked every `pollSeconds`, because file
 * watching does not work for mounted secrets, which are replaced through a symbolic link. A pair that cannot be read or
 * does not belong together is refused and read again at each check; the old pair stays in use.
 */
export class FileCertificateSource implements CertificateSource {
  readonly #options: FileCertificateOptions;
  readonly #listeners = new Set<(pair: CertificatePair) => void>();
  readonly #endTicks: () => void;
  /** Why the files are not in use. */
  readonly #unusable = new LastingProblem();
  /** The problem with the dates of the certificate in use. */
  readonly #expiry = new LastingProblem();
  #certificate: ReadCertificate;
  #stamp: string;
  #polledAt: number;

  /** Throws a {@link TowpathError} when there is no usable pair at the start. */
  constructor(options: FileCertificateOptions) {
    this.#options = options;
    this.#stamp = fileStamp(options.certPath, options.keyPath);
    this.#certificate = load(options);
    this.#polledAt = options.clock.now;
    this.#warnAboutNames();
    this.#warnAboutChain();
    this.#warnAboutKey();
    this.#judge();
    this.#endTicks = options.clock.onTick((now) => this.#tick(now), SLOW_TICK_MS);
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

  reload(): void {
    const before = this.#certificate;
    this.#unusable.end();
    this.#read(fileStamp(this.#options.certPath, this.#options.keyPath));
    this.#judge();
    if (this.#certificate !== before || this.#unusable.text !== null) return;
    const { certPath, log } = this.#options;
    const { notAfter, pinSha256 } = before.info;
    log.info({ certPath, notAfter, pinSha256 }, 'the certificate files were read again: nothing has changed');
  }

  stop(): void {
    this.#endTicks();
    this.#listeners.clear();
  }

  #tick(now: number): void {
    if (now - this.#polledAt < this.#options.pollSeconds * 1000) return;
    this.#polledAt = now;
    const stamp = fileStamp(this.#options.certPath, this.#options.keyPath);
    if (stamp !== this.#stamp) this.#read(stamp);
    this.#judge();
  }

  #read(stamp: string): void {
    const { certPath, log } = this.#options;
    const before = this.#certificate;
    let found: ReadCertificate;
    try {
      found = load(this.#options);
    } catch (error) {
      this.#stamp = NEVER_READ;
      this.#refuse(error);
      return;
    }
    this.#stamp = stamp;
    const wasUnusable = this.#unusable.end();
    if (before.pair.certPem === found.pair.certPem && before.pair.keyPem === found.pair.keyPem) {
      if (wasUnusable) log.info({ certPath }, 'the certificate files are valid again and match the certificate in use');
      return;
    }
    this.#certificate = found;
    const { names, notAfter, pinSha256 } = found.info;
    log.info({ certPath, names, notAfter, pinSha256 }, 'certificate reloaded');
    this.#expiry.end();
    this.#warnAboutNames();
    this.#warnAboutChain();
    for (const listener of this.#listeners) listener(found.pair);
  }

  #refuse(error: unknown): void {
    const { certPath, clock, log } = this.#options;
    if (!this.#unusable.isNews(errorMessage(error), clock.now)) return;
    const hint = error instanceof TowpathError ? error.hint : undefined;
    log.error(
      { certPath, error: errorMessage(error), hint, notAfter: this.#certificate.info.notAfter },
      'the changed certificate cannot be used; the old one stays in use',
    );
  }

  #warnAboutNames(): void {
    const { certPath, log, names } = this.#options;
    const { info, leaf } = this.#certificate;
    const missing = names.filter((name) => !covers(leaf, name));
    if (info.names.length === 0) {
      log.warn(
        { certPath, subject: leaf.subject },
        'the certificate has no subject alternative name, and clients ignore its common name (CN): they refuse it. Make it again with one, for example with "openssl req … -addext subjectAltName=DNS:relay.example.com"',
      );
    } else if (missing.length > 0) {
      log.warn(
        { certPath, missing, names: info.names },
        'the certificate does not have every name of this relay; clients that use a missing name refuse it',
      );
    }
  }

  #warnAboutChain(): void {
    const { certPath, log } = this.#options;
    const { behindLeaf = 0, selfSigned } = this.#certificate.info;
    if (!selfSigned || behindLeaf === 0) return;
    log.warn(
      { certPath, behindLeaf },
      'a self-signed certificate is pinned by clients, and they then want exactly one certificate; leave the others out of the file',
    );
  }

  #warnAboutKey(): void {
    const { keyPath, log } = this.#options;
    if (isOpenToEveryone(keyPath)) {
      log.warn({ keyPath }, 'every user of this machine can read or change the key; run "chmod o= FILE" on it');
    }
  }

  /** Checks the dates of the certificate in use. */
  #judge(): void {
    const { certPath, health, now } = this.#options;
    const { notBefore, notAfter } = this.#certificate.info;
    const left = notAfter.getTime() - now();
    const lifetime = notAfter.getTime() - notBefore.getTime();
    const isLate = left < Math.min(EXPIRY_ALARM_MS, lifetime * EXPIRY_ALARM_PART);
    const { text } = this.#unusable;
    const why = text === null ? 'its files have not changed' : `the changed files cannot be used: ${text}`;
    health?.set('certificate', isLate ? `${certPath} ends on ${notAfter.toISOString()}, and ${why}` : null);
    if (now() < notBefore.getTime()) {
      this.#warn('warn', 'the certificate is not valid yet by the clock of this machine; clients will refuse it');
    } else if (left <= 0) {
      this.#warn('error', 'the certificate has expired by the clock of this machine; clients will refuse it');
    } else if (left <= EXPIRY_WARNING_MS) {
      this.#warn('warn', 'the certificate expires soon, and its files have not changed');
    } else this.#expiry.end();
  }

  #warn(level: 'warn' | 'error', message: string): void {
    const { certPath, clock, log, now } = this.#options;
    if (!this.#expiry.isNews(message, clock.now)) return;
    const { notBefore, notAfter } = this.#certificate.info;
    log[level]({ certPath, notBefore, notAfter, now: new Date(now()) }, message);
  }
}

function load({ certPath, keyPath }: FileCertificateOptions): ReadCertificate {
  return readPair({ certPem: readText(certPath), keyPem: readText(keyPath) }, certPath, keyPath);
}

function readText(path: string): string {
  try {
    return readCertificateFile(path);
  } catch (error) {
    throw unreadable(path, error, 'Check the path, and check that the user that runs towpath may read the file.');
  }
}
