import { SLOW_TICK_MS, type TickingClock } from '../base/clock.ts';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { fileStamp, NEVER_READ } from '../base/file-stamp.ts';
import { LastingProblem } from './lasting-problem.ts';
import {
  announced,
  DISTRUST_MS,
  isFor,
  loadOrCreate,
  prepareNext,
  replaceNow,
  whatIsDue,
  type Distrust,
  type Held,
  type RenewalPolicy,
} from './renewal.ts';
import type { ReadCertificate } from './read.ts';
import type { CertificateInfo, CertificatePair, CertificateSource, HealthReport } from './source.ts';
import { CertificateStore } from './store.ts';
import { WallClock } from './wall-clock.ts';
import type { EventLog } from '../base/event-log.ts';

/** Time between two checks for due work. It is short, so that a corrected clock is noticed soon. */
const CHECK_MS = 10_000;
const MAP_HINT = 'Run "towpath derp-map" now and put its output into the DERP map.';

/** Options of {@link SelfSignedCertificateSource}. */
export interface SelfSignedOptions extends RenewalPolicy {
  readonly directory: string;
  /** Longest time until a certificate that the operator put in place is used. */
  readonly pollSeconds: number;
  readonly clock: TickingClock;
  readonly log: EventLog;
  /** Receives the problem of a certificate that cannot be renewed. */
  readonly health?: HealthReport | undefined;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
}

/** A self-signed certificate that clients pin. `renewal.ts` explains how it is replaced. */
export class SelfSignedCertificateSource implements CertificateSource {
  readonly #options: SelfSignedOptions;
  readonly #store: CertificateStore;
  readonly #listeners = new Set<(pair: CertificatePair) => void>();
  readonly #endTicks: () => void;
  /** Why the files are not in use. */
  readonly #unusable = new LastingProblem();
  /** Why a new certificate cannot be written. */
  readonly #unwritable = new LastingProblem();
  /** Why the clock is not trusted. */
  readonly #distrust = new LastingProblem();
  readonly #announcement = new LastingProblem();
  readonly #wallClock: WallClock;
  #held: Held;
  #stamp: string;
  #polledAt: number;
  #checkedAt: number;

  /** Throws a {@link TowpathError} when the stored files are broken or the directory cannot be used. */
  constructor(options: SelfSignedOptions) {
    const { clock, directory, log, names, now } = options;
    this.#options = options;
    this.#wallClock = new WallClock(clock, now);
    this.#store = new CertificateStore(directory, names[0]!);
    this.#held = loadOrCreate(this.#store, options, now(), log);
    if (this.#store.keyIsOpenToOthers()) {
      log.warn({ keyPath: this.#store.keyPath }, 'the key can be read by other users; run "chmod 600" on it');
    }
    this.#checkNames();
    this.#checkOrReport();
    this.#stamp = this.#readStamp();
    this.#polledAt = clock.now;
    this.#checkedAt = clock.now;
    this.#endTicks = clock.onTick((tick) => this.#tick(tick), SLOW_TICK_MS);
  }

  current(): CertificatePair {
    return this.#held.current.pair;
  }

  onChange(listener: (pair: CertificatePair) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  info(): CertificateInfo {
    return { ...this.#held.current.info, next: announced(this.#held, this.#options, this.#options.now()) };
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
    this.#wallClock.read();
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
      this.#sayProblem(this.#unwritable, error, 'the certificate could not be renewed; the relay tries again');
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

  /**
   * Uses changed files: the operator moved the next certificate into place, restored one, or changed its access rights.
   */
  #takeUp(stamp: string): void {
    let current: ReadCertificate;
    let next: ReadCertificate | null;
    try {
      current = this.#store.loadCurrent();
      next = this.#store.loadNext();
    } catch (error) {
      this.#stamp = NEVER_READ;
      this.#sayProblem(this.#unusable, error, 'the changed certificate cannot be used; the old one stays in use');
      return;
    }
    this.#stamp = stamp;
    if (this.#unusable.end()) {
      this.#options.log.info({ certPath: this.#store.certPath }, 'the certificate can be read again');
    }
    if (current.info.pinSha256 === this.#held.current.info.pinSha256) return;
    this.#keepReplaced();
    this.#use({ current, next }, 'info', 'the certificate was changed on the disk and is in use');
  }

  /** Keeps the replaced certificate: a wrong clock may have caused the announcement that the operator followed. */
  #keepReplaced(): void {
    try {
      this.#store.keepOld(this.#held.current);
    } catch (error) {
      this.#options.log.warn({ error: errorMessage(error) }, 'the replaced certificate could not be saved');
    }
  }

  #checkNames(): void {
    const { log, names, now } = this.#options;
    const before = this.#held.current.info;
    if (isFor(this.#held.current, names)) return;
    this.#held = replaceNow(this.#store, this.#held, this.#options, now());
    const { pinSha256 } = this.#held.current.info;
    log.warn(
      { oldNames: before.names, names, oldPinSha256: before.pinSha256, pinSha256 },
      `the names of the relay changed, so it made a new certificate; clients with the old pin cannot connect. ${MAP_HINT}`,
    );
  }

  #check(): void {
    const time = this.#wallClock.read();
    const due = whatIsDue(this.#held, this.#options, time, () => this.#store.loadOld());
    if (due.kind === 'wait') {
      this.#sayDistrust(due.why, time.now);
      return;
    }
    const wasDistrusted = this.#distrust.end();
    switch (due.kind) {
      case 'nothing':
        if (wasDistrusted) this.#options.log.info({ now: new Date(time.now) }, "this machine's clock can be right now");
        return;
      case 'announce':
        this.#held = prepareNext(this.#store, this.#held, this.#options, time.now);
        this.#announce(time.now);
        return;
      case 'switch':
        this.#switch(time.now);
        return;
      case 'restore':
        this.#store.restore(due.old, this.#held.current);
        this.#stamp = this.#readStamp();
        this.#use(
          { current: this.#store.loadCurrent(), next: this.#store.loadNext() },
          'warn',
          'by the clock, the certificate in use is not valid, but the previous one is: the previous one is in use again',
        );
    }
  }

  #switch(now: number): void {
    const wasAnnounced = announced(this.#held, this.#options, now) !== null;
    const { current, next } = prepareNext(this.#store, this.#held, this.#options, now);
    if (next === null) return;
    this.#store.activateNext(current);
    this.#stamp = this.#readStamp();
    const held = { current: next, next: null };
    if (wasAnnounced) this.#use(held, 'warn', 'the announced certificate is in use now');
    else
      this.#use(held, 'error', 'the certificate was no longer valid, so a new one is in use without an announcement');
  }

  #sayDistrust(why: Distrust, now: number): void {
    const { clock, log } = this.#options;
    if (!this.#distrust.isNews(why, clock.now)) return;
    const { certPath } = this.#store;
    const { notBefore, notAfter, pinSha256 } = this.#held.current.info;
    const facts = { certPath, pinSha256, notBefore, notAfter, now: new Date(now) };
    if (why === 'clock-before-build') {
      log.error(facts, "this machine's clock is wrong: it is before the date of this version. Correct it");
      return;
    }
    const state = why === 'ended' ? 'has expired' : 'is not valid yet';
    log.error(
      facts,
      `by this machine's clock the certificate ${state}. It is kept, because the clock may be wrong and a new certificate has a new pin: set the clock right. If the clock stays like this for ${DISTRUST_MS / 3_600_000} hours, a new certificate is made; to have it at once, run "mv ${certPath} ${certPath}.away" and restart the relay`,
    );
  }

  #announce(now: number): void {
    const { certPath, nextPath } = this.#store;
    const next = announced(this.#held, this.#options, now);
    if (next === null || !this.#announcement.isNews(next.pinSha256, this.#options.clock.now)) return;
    this.#options.log.warn(
      { pinSha256: this.#held.current.info.pinSha256, nextPinSha256: next.pinSha256, from: next.from },
      `the certificate and its pin change on ${next.from.toISOString()}. To choose a better time before that, run "mv ${nextPath} ${certPath}". Then run "towpath derp-map" and put its output into the DERP map at once: clients with the old pin cannot connect any more`,
    );
  }

  #use(held: Held, level: 'info' | 'warn' | 'error', message: string): void {
    const old = this.#held.current.info;
    this.#held = held;
    this.#announcement.end();
    const { names, notAfter, pinSha256 } = held.current.info;
    this.#options.log[level](
      { names, oldPinSha256: old.pinSha256, pinSha256, notAfter },
      `${message}; clients with the old pin cannot connect any more. ${MAP_HINT}`,
    );
    for (const listener of this.#listeners) listener(held.current.pair);
  }
}
