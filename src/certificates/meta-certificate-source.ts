import { SLOW_TICK_MS, type TickingClock } from '../base/clock.ts';
import { errorMessage } from '../base/errors.ts';
import { makeMetaCertificate, META_CERTIFICATE_REFRESH_MS } from './x509/meta-certificate.ts';
import type { CertificateInfo, CertificatePair, CertificateSource, ChallengeAnswers } from './source.ts';
import type { EventLog } from '../base/event-log.ts';

/** Options of {@link MetaCertificateSource}. */
export interface MetaCertificateOptions {
  readonly serverPublicKey: Buffer;
  readonly clock: TickingClock;
  readonly log: EventLog;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Adds the meta-certificate after the chain of another source (protocol reference §1.5). The other source's pair is
 * never changed, only copied, because it may be in use elsewhere (statement 66).
 */
export class MetaCertificateSource implements CertificateSource {
  readonly #inner: CertificateSource;
  readonly #options: MetaCertificateOptions;
  readonly #listeners = new Set<(pair: CertificatePair) => void>();
  readonly #ends: (() => void)[];
  #madeAt = 0;
  #meta = '';
  #pair: CertificatePair;

  constructor(inner: CertificateSource, options: MetaCertificateOptions) {
    this.#inner = inner;
    this.#options = options;
    this.#makeMeta();
    this.#pair = this.#append();
    this.#ends = [inner.onChange(() => this.#publish()), options.clock.onTick(() => this.#refresh(), SLOW_TICK_MS)];
  }

  current(): CertificatePair {
    return this.#pair;
  }

  onChange(listener: (pair: CertificatePair) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  info(): CertificateInfo {
    return this.#inner.info();
  }

  get challenges(): ChallengeAnswers | undefined {
    return this.#inner.challenges;
  }

  reload(): void {
    this.#inner.reload();
  }

  stop(): void {
    for (const end of this.#ends) end();
    this.#listeners.clear();
    this.#inner.stop();
  }

  #makeMeta(): void {
    this.#madeAt = this.#options.now();
    this.#meta = makeMetaCertificate(this.#options.serverPublicKey, this.#madeAt);
  }

  #append(): CertificatePair {
    const { certPem, keyPem } = this.#inner.current();
    return { certPem: `${certPem.trimEnd()}\n${this.#meta}`, keyPem };
  }

  #refresh(): void {
    // Also when the wall clock was set back: the certificate would begin in the future.
    if (Math.abs(this.#options.now() - this.#madeAt) < META_CERTIFICATE_REFRESH_MS) return;
    this.#makeMeta();
    this.#publish();
  }

  #publish(): void {
    this.#pair = this.#append();
    for (const listener of this.#listeners) {
      try {
        listener(this.#pair);
      } catch (error) {
        // One listener that throws must not stop the others or the clock.
        this.#options.log.error({ error: errorMessage(error) }, 'a listener refused the new certificate');
      }
    }
  }
}
