import { errorMessage, TowpathError } from '../errors.ts';
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
import type { CertificateInfo, CertificateLog, CertificatePair, CertificateSource, TickingClock } from './source.ts';
import { CertificateStore } from './store.ts';

const CHECK_MS = 3_600_000;
const DAY_MS = 86_400_000;
const MAP_HINT = 'Run "towpath derp-map" and put its output into the DERP map.';

/** What {@link SelfSignedCertificateSource} needs. */
export interface SelfSignedOptions extends RenewalPolicy {
  readonly directory: string;
  readonly clock: TickingClock;
  readonly log: CertificateLog;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
}

/** A certificate of our own making that clients pin; `renewal.ts` says how it is replaced. */
export class SelfSignedCertificateSource implements CertificateSource {
  readonly #options: SelfSignedOptions;
  readonly #store: CertificateStore;
  readonly #listeners = new Set<(pair: CertificatePair) => void>();
  readonly #endTicks: () => void;
  #held: Held;
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

  stop(): void {
    this.#endTicks();
    this.#listeners.clear();
  }

  #tick(tick: number): void {
    if (tick - this.#checkedAt < CHECK_MS) return;
    this.#checkedAt = tick;
    try {
      this.#check();
    } catch (error) {
      const hint = error instanceof TowpathError ? error.hint : undefined;
      const { notAfter } = this.#held.current.info;
      this.#options.log.error({ error: errorMessage(error), hint, notAfter }, 'the certificate could not be renewed');
    }
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
    const before = this.#held;
    this.#held = prepareNext(this.#store, before, this.#options, now);
    if (this.#held.next === null) return;
    if (now >= switchAt(this.#held, this.#options)) this.#switch(before.next !== null);
    else this.#announce(now);
  }

  #announce(now: number): void {
    if (now - this.#announcedAt < DAY_MS) return;
    this.#announcedAt = now;
    const next = announced(this.#held, this.#options)!;
    this.#options.log.warn(
      { pinSha256: this.#held.current.info.pinSha256, nextPinSha256: next.pinSha256, from: next.from },
      `the certificate changes on ${next.from.toISOString()}, and clients that do not have the new pin by then cannot connect. ${MAP_HINT} It lists this relay with both pins`,
    );
  }

  #switch(wasAnnounced: boolean): void {
    const { log } = this.#options;
    const old = this.#held.current.info;
    this.#store.activateNext();
    this.#held = { current: this.#held.next!, next: null };
    this.#announcedAt = Number.NEGATIVE_INFINITY;
    const { notAfter, pinSha256 } = this.#held.current.info;
    const fields = { oldPinSha256: old.pinSha256, pinSha256, oldNotAfter: old.notAfter, notAfter };
    if (wasAnnounced)
      log.info(fields, `the announced certificate is in use now. ${MAP_HINT} It needs the new pin only`);
    else {
      log.error(
        fields,
        `the certificate had ended or was about to, so a new one is in use without notice. ${MAP_HINT}`,
      );
    }
    for (const listener of this.#listeners) listener(this.#held.current.pair);
  }
}

/** What a command that only looks may know: makes what is missing, but neither switches nor replaces. */
export function inspectSelfSigned(options: Omit<SelfSignedOptions, 'clock'>): CertificateInfo {
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
