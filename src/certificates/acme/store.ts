import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writePrivateFile } from '../../base/private-file.ts';
import { systemErrorCode } from '../../base/errors.ts';
import { formatCertificateKey, generateCertificateKey } from '../make-certificate.ts';
import { readCertificateFile, readKey, readPair, type ReadCertificate } from '../read.ts';
import type { AcmeAccount } from './port.ts';
import { LONGEST_WAIT_MS } from './schedule.ts';
import type { EventLog } from '../../base/event-log.ts';
import { unreadable, unwritable } from '../file-errors.ts';

const time = z.number().nonnegative();

const accountSchema: z.ZodType<Account> = z.object({
  directory: z.string(),
  accountUrl: z.string().nullable(),
  keyPem: z.string().min(1),
});

/** The account at one authority, as kept on disk. */
interface Account {
  readonly directory: string;
  readonly accountUrl: string | null;
  readonly keyPem: string;
}

/** The state of getting one certificate that survives restarts. */
export interface AcmeState {
  /** Fingerprint of the settings. After a change of the configuration, the rest is not used. */
  readonly fingerprint: string;
  /** Failures in a row. */
  readonly failures: number;
  /** Time of the next attempt, milliseconds since 1970. */
  readonly notBefore: number;
  /** Whole length of that wait in milliseconds: a clock that was set back must not make it longer. */
  readonly waitMs: number;
  readonly problem: string | null;
  /** An unfinished order, with the key of its certificate. */
  readonly order: { readonly url: string; readonly keyPem: string } | null;
  readonly renewal: AcmeRenewal | null;
}

/** The renewal time of one certificate. Times are milliseconds since 1970. */
interface AcmeRenewal {
  /** The certificate that this is about. */
  readonly pinSha256: string;
  readonly window: { readonly start: number; readonly end: number } | null;
  /** The moment chosen from the window. */
  readonly at: number | null;
  readonly lookAt: number;
}

const stateSchema: z.ZodType<AcmeState> = z.object({
  fingerprint: z.string(),
  failures: z.int().nonnegative(),
  notBefore: time,
  waitMs: time.default(LONGEST_WAIT_MS),
  problem: z.string().nullable(),
  order: z.object({ url: z.string(), keyPem: z.string() }).nullable(),
  renewal: z
    .object({
      pinSha256: z.string(),
      window: z.object({ start: time, end: time }).nullable(),
      at: time.nullable(),
      lookAt: time,
    })
    .nullable(),
});

/** Number of damaged files of one name that are kept. */
const DAMAGED_FILES = 5;
const KEY_BLOCK = /-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]+-----END [A-Z ]*PRIVATE KEY-----/;

/**
 * The files of one authority and one certificate: `account.json`, `NAME.pem` with key and chain in one so that they
 * change together, and `NAME.state.json`. A damaged file is renamed and made again, which is possible for all of them.
 */
export class AcmeStore {
  readonly certPath: string;
  readonly #statePath: string;
  readonly #accountPath: string;
  readonly #log: EventLog;

  constructor(directory: string, directoryUrl: string, name: string, log: EventLog) {
    const folder = join(
      directory,
      'acme',
      directoryUrl.replace(/^https?:\/\//, '').replaceAll(/[^A-Za-z0-9.-]+/g, '-'),
    );
    const base = join(folder, name.replaceAll(':', '-').replaceAll(/[^A-Za-z0-9.-]/g, ''));
    this.certPath = `${base}.pem`;
    this.#statePath = `${base}.state.json`;
    this.#accountPath = join(folder, 'account.json');
    this.#log = log;
  }

  /** The account with the authority, or a new key for one. */
  account(directoryUrl: string): AcmeAccount {
    const stored = this.#load(this.#accountPath, (text) => {
      const account = accountSchema.parse(JSON.parse(text));
      readKey(account.keyPem, this.#accountPath);
      return account;
    });
    if (stored !== null) return stored;
    const account = { accountUrl: null, keyPem: formatCertificateKey(generateCertificateKey()) };
    this.saveAccount(directoryUrl, account);
    return account;
  }

  /** Writes the account. Throws a TowpathError when the file cannot be written. */
  saveAccount(directory: string, { accountUrl, keyPem }: AcmeAccount): void {
    this.#save(this.#accountPath, json({ directory, accountUrl, keyPem }));
  }

  /** The certificate that was obtained last, or null. */
  certificate(): ReadCertificate | null {
    return this.#load(this.certPath, (text) => {
      // Without this check, a chain that was cut after the leaf would pass.
      if (text.split('-----BEGIN ').length !== text.split('-----END ').length) throw new Error('cut off');
      const [keyPem = ''] = KEY_BLOCK.exec(text) ?? [];
      const certPem = text.replace(KEY_BLOCK, '').trimStart();
      return readPair({ certPem, keyPem }, this.certPath, this.certPath);
    });
  }

  /** Writes the certificate that was obtained last. Throws as {@link saveAccount} does. */
  saveCertificate({ pair }: ReadCertificate): void {
    this.#save(this.certPath, `${pair.keyPem.trimEnd()}\n${pair.certPem.trimEnd()}\n`);
  }

  /** Returns the stored state for this fingerprint, or an empty one. */
  state(fingerprint: string): AcmeState {
    const stored = this.#load(this.#statePath, (text) => stateSchema.parse(JSON.parse(text)));
    if (stored?.fingerprint === fingerprint) return stored;
    const blank = { failures: 0, notBefore: 0, waitMs: 0, problem: null, order: null };
    return { ...blank, fingerprint, renewal: stored?.renewal ?? null };
  }

  /** Writes the state that {@link state} returns. Throws as {@link saveAccount} does. */
  saveState(state: AcmeState): void {
    this.#save(this.#statePath, json(state));
  }

  #load<T>(path: string, read: (text: string) => T): T | null {
    let text: string;
    try {
      text = readCertificateFile(path);
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return null;
      throw unreadable(path, error);
    }
    try {
      return read(text);
    } catch {
      const aside = freeName(`${path}.broken`);
      renameSync(path, aside);
      // The reason is left out on purpose: a parser may quote the text, which holds keys.
      this.#log.error({ path, aside }, 'the file is damaged; the relay has renamed it and makes a new one');
      return null;
    }
  }

  #save(path: string, text: string): void {
    try {
      writePrivateFile(path, text, { replace: true });
    } catch (error) {
      throw unwritable(path, error);
    }
  }
}

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/**
 * Returns an unused name for a damaged file. The first damaged files are kept: they are the most useful for a repair.
 */
function freeName(path: string): string {
  for (let n = 0; ; n++) {
    const candidate = n === 0 ? path : `${path}-${n}`;
    if (n === DAMAGED_FILES - 1 || !existsSync(candidate)) return candidate;
  }
}
