import { join } from 'node:path';
import { writePrivateFile } from '../base/private-file.ts';
import { errorMessage, systemErrorCode } from '../base/errors.ts';
import type { AcmeCertificateSource, AcmeSourceOptions } from './acme/acme-source.ts';
import { readCertificateFile } from './read.ts';
import type { CertificateInfo, CertificatePair, CertificateSource, ChallengeAnswers } from './source.ts';
import type { EventLog } from '../base/event-log.ts';
import { unreadable } from './file-errors.ts';

/** The choice of mode `auto`. It is permanent, because clients then have the pin, or trust the authority. */
export type AutoChoice = 'acme' | 'self-signed';

/** The file that remembers the choice. */
export class AutoMemory {
  readonly path: string;

  constructor(directory: string) {
    this.path = join(directory, 'auto.json');
  }

  /** The choice that was made for these names, or null. */
  choice(names: readonly string[]): { readonly choice: AutoChoice; readonly why: string } | null {
    let text: string;
    try {
      text = readCertificateFile(this.path);
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return null;
      throw unreadable(
        this.path,
        error,
        'Allow the user that runs towpath to read it. The file holds the choice of mode auto.',
      );
    }
    const [value, ...other] = parse(text);
    if (value === undefined || other.length > 0 || value.names !== [...names].sort().join(' ')) return null;
    return value;
  }

  remember(choice: AutoChoice, names: readonly string[], why: string): void {
    const text = JSON.stringify({ choice, names: [...names].sort().join(' '), why }, null, 2);
    writePrivateFile(this.path, `${text}\n`, { replace: true });
  }
}

/** Returns an empty list when the file is damaged; the choice is then made again. */
function parse(text: string): { choice: AutoChoice; names: string; why: string }[] {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return [];
    const { choice, names, why }: Readonly<Record<string, unknown>> = { ...value };
    if ((choice !== 'acme' && choice !== 'self-signed') || typeof names !== 'string' || typeof why !== 'string')
      return [];
    return [{ choice, names, why }];
  } catch {
    return [];
  }
}

/** Options of {@link AutoCertificateSource}. */
export interface AutoOptions {
  readonly selfSigned: CertificateSource;
  /** Makes the source that tries the authority. It calls the function of the first failure. */
  readonly openAcme: (onFailure: NonNullable<AcmeSourceOptions['onFailure']>) => AcmeCertificateSource;
  readonly memory: AutoMemory;
  readonly names: readonly string[];
  readonly log: EventLog;
  readonly health: AcmeSourceOptions['health'];
}

/**
 * Tries the authority once. Until the result is known, and permanently after a failure, it serves the self-signed
 * certificate.
 */
export class AutoCertificateSource implements CertificateSource {
  readonly #options: AutoOptions;
  readonly #acme: AcmeCertificateSource;
  readonly #listeners = new Set<(pair: CertificatePair) => void>();
  #inUse: CertificateSource;
  #isDecided = false;

  constructor(options: AutoOptions) {
    this.#options = options;
    this.#inUse = options.selfSigned;
    this.#acme = options.openAcme((problem) => this.#fallBack(problem));
    options.health.set('certificate', null);
    options.selfSigned.onChange((pair) => this.#publish(options.selfSigned, pair));
    this.#acme.onChange((pair) => this.#issued(pair));
  }

  get challenges(): ChallengeAnswers {
    return this.#acme.challenges;
  }

  current(): CertificatePair {
    return this.#inUse.current();
  }

  onChange(listener: (pair: CertificatePair) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  info(): CertificateInfo {
    const info = this.#inUse.info();
    if (this.#isDecided) return info;
    return { ...info, origin: 'self-signed until it is known whether an authority issues one', provisional: true };
  }

  reload(): void {
    this.#inUse.reload();
  }

  stop(): void {
    this.#acme.stop();
    this.#options.selfSigned.stop();
    this.#listeners.clear();
  }

  #issued(pair: CertificatePair): void {
    if (!this.#isDecided) {
      this.#isDecided = true;
      this.#inUse = this.#acme;
      this.#options.selfSigned.stop();
      this.#remember('acme', 'a certificate was issued');
    }
    this.#publish(this.#acme, pair);
  }

  #fallBack(problem: string): void {
    if (this.#isDecided) return;
    this.#isDecided = true;
    this.#acme.stop();
    this.#options.health.set('certificate', null);
    this.#remember('self-signed', problem);
  }

  #remember(choice: AutoChoice, why: string): void {
    const { log, memory, names } = this.#options;
    try {
      memory.remember(choice, names, why);
    } catch (error) {
      log.error({ path: memory.path, error: errorMessage(error) }, 'the choice of certificate cannot be saved');
    }
    sayChoice(log, memory, choice, why);
  }

  #publish(from: CertificateSource, pair: CertificatePair): void {
    if (from === this.#inUse) for (const listener of this.#listeners) listener(pair);
  }
}

/** Logs the choice of mode `auto`, and the reason. */
export function sayChoice(log: EventLog, memory: AutoMemory, choice: AutoChoice, why: string): void {
  if (choice === 'acme') {
    log.info({ why }, 'certificate mode auto: a certificate authority is used');
    return;
  }
  log.warn(
    { why },
    `certificate mode auto: a self-signed certificate is used, so clients need its pin ("towpath derp-map"). It stays that way; to try an authority again, remove ${memory.path} and restart, or set certificate.mode to acme`,
  );
}
