import { existsSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { KeyObject } from 'node:crypto';
import { isOpenToOthers, replaceFile, writePrivateFile } from '../base/private-file.ts';
import { errorMessage, systemErrorCode, TowpathError } from '../base/errors.ts';
import {
  formatCertificateKey,
  generateCertificateKey,
  makeSelfSigned,
  type SelfSignedFields,
} from './make-certificate.ts';
import { derperPaths, type CertificatePaths } from './names.ts';
import { describe, readCertificateFile, readChain, readKey, readPair, type ReadCertificate } from './read.ts';
import { unreadable, unwritable } from './file-errors.ts';

/** Number of old certificates that are kept. More than one is needed only after several wrong clocks in a row. */
const OLD_CERTIFICATES = 4;

/**
 * The files of one self-signed certificate: `NAME.crt` and `NAME.key` as derper has them, `NAME.next.crt` while a
 * renewal is announced, and `NAME.old.crt` with those that were in use before. All of them share one key, so a renewal
 * is a single rename.
 */
export class CertificateStore {
  readonly #paths: CertificatePaths;

  constructor(directory: string, name: string) {
    this.#paths = derperPaths(directory, name);
  }

  /** Path of the certificate in use. */
  get certPath(): string {
    return this.#paths.certPath;
  }

  /** Path of its key. */
  get keyPath(): string {
    return this.#paths.keyPath;
  }

  /** Path of the next certificate. */
  get nextPath(): string {
    return this.#paths.nextPath;
  }

  /** The certificate in use, or null when there is none yet. Throws a {@link TowpathError} when the files are broken. */
  load(): ReadCertificate | null {
    const { certPath, keyPath } = this.#paths;
    const [certPem, keyPem] = [readIfThere(certPath), readIfThere(keyPath)];
    if (certPem === null) return null;
    if (keyPem === null) throw broken(`${certPath} exists, but its key ${keyPath} is missing`);
    return this.#read(certPem, keyPem, certPath);
  }

  /** Reads the certificate in use again. Throws a {@link TowpathError} when the file is gone. */
  loadCurrent(): ReadCertificate {
    const found = this.load();
    if (found !== null) return found;
    throw new TowpathError('TOWPATH_CERTIFICATE_GONE', `${this.certPath} is gone`, {
      hint: 'Restore it from a backup: without it the next start makes a new certificate, with a new pin.',
    });
  }

  /** Reads the next certificate; null when there is no usable one, because it can be made again. */
  loadNext(): ReadCertificate | null {
    const { keyPath, nextPath } = this.#paths;
    try {
      return this.#read(readCertificateFile(nextPath), readCertificateFile(keyPath), nextPath);
    } catch {
      return null;
    }
  }

  #read(certPem: string, keyPem: string, certPath: string): ReadCertificate {
    let certificate: ReadCertificate;
    try {
      certificate = readPair({ certPem, keyPem }, certPath, this.#paths.keyPath);
    } catch (error) {
      throw broken(errorMessage(error), error);
    }
    if (certificate.info.selfSigned) return certificate;
    throw new TowpathError(
      'TOWPATH_CERTIFICATE_NOT_SELF_SIGNED',
      `${certPath} was issued by another authority and was not changed`,
      {
        hint: `Use it with certificate mode "file" (file: ${certPath}, keyFile: ${this.#paths.keyPath}), or choose another certificate directory.`,
      },
    );
  }

  /** Writes a first certificate. An existing key is used. */
  create(fields: SelfSignedFields): ReadCertificate {
    const { certPath } = this.#paths;
    // The key goes first: a crash in between leaves a key without a certificate, which the next start completes.
    const key = this.#loadOrCreateKey();
    return guardWrite(certPath, () => {
      this.dropNext();
      this.#write(certPath, makeSelfSigned(fields, key), false);
      return this.load()!;
    });
  }

  /** Writes a certificate that replaces `current` at once. `current` is kept among the old ones. */
  replace(fields: SelfSignedFields, current: ReadCertificate): ReadCertificate {
    const { certPath, keyPath } = this.#paths;
    const certPem = makeSelfSigned(fields, usableKey(current.key, keyPath));
    return guardWrite(certPath, () => {
      this.keepOld(current);
      this.dropNext();
      this.#write(certPath, certPem, true);
      return this.load()!;
    });
  }

  /** Reads earlier certificates of the same key, the last one first; empty when they cannot be read. */
  loadOld(): ReadCertificate[] {
    const { keyPath, oldPath } = this.#paths;
    try {
      const keyPem = readCertificateFile(keyPath);
      const key = readKey(keyPem, keyPath);
      const chain = readChain(readCertificateFile(oldPath), oldPath);
      const ours = chain.filter((leaf) => leaf.checkPrivateKey(key));
      return ours.map((leaf) => ({ pair: { certPem: leaf.toString(), keyPem }, leaf, key, info: describe(leaf) }));
    } catch {
      return [];
    }
  }

  /** Adds a certificate to the old ones; the oldest of many is dropped. */
  keepOld(certificate: ReadCertificate): void {
    const others = this.loadOld().filter(({ info }) => info.pinSha256 !== certificate.info.pinSha256);
    const texts = [certificate, ...others].slice(0, OLD_CERTIFICATES).map(({ leaf }) => leaf.toString().trimEnd());
    const { oldPath } = this.#paths;
    guardWrite(oldPath, () => writePrivateFile(oldPath, `${texts.join('\n')}\n`, { replace: true }));
  }

  /** Uses an old certificate again. The certificate in use becomes an old one. */
  restore(old: ReadCertificate, current: ReadCertificate): void {
    const { certPath } = this.#paths;
    this.keepOld(current);
    guardWrite(certPath, () => writePrivateFile(certPath, `${old.pair.certPem.trimEnd()}\n`, { replace: true }));
  }

  /** Writes the next certificate. */
  createNext(fields: SelfSignedFields, key: KeyObject): ReadCertificate {
    const { nextPath } = this.#paths;
    return guardWrite(nextPath, () => {
      this.#write(nextPath, makeSelfSigned(fields, usableKey(key, this.#paths.keyPath)), false);
      return this.#read(readCertificateFile(nextPath), readCertificateFile(this.#paths.keyPath), nextPath);
    });
  }

  /** The next certificate becomes the one in use, and `current` an old one. */
  activateNext(current: ReadCertificate): void {
    const { certPath, nextPath } = this.#paths;
    this.keepOld(current);
    guardWrite(certPath, () => replaceFile(nextPath, certPath));
  }

  /** Deletes a next certificate that does not fit any more. */
  dropNext(): void {
    const { nextPath } = this.#paths;
    guardWrite(nextPath, () => rmSync(nextPath, { force: true }));
  }

  /**
   * Returns certificates of other names in the same directory, which this relay may have served under an earlier name.
   */
  otherCertificates(): string[] {
    const { certPath } = this.#paths;
    const directory = dirname(certPath);
    if (!existsSync(directory)) return [];
    const names = readdirSync(directory).filter((name) => /(?<!\.next|\.old)\.crt$/.test(name));
    return names.map((name) => join(directory, name)).filter((path) => path !== certPath);
  }

  /** True when others than the owner may read the key. */
  keyIsOpenToOthers(): boolean {
    return isOpenToOthers(this.#paths.keyPath);
  }

  #loadOrCreateKey(): KeyObject {
    const { keyPath } = this.#paths;
    const key = generateCertificateKey();
    return guardWrite(keyPath, () => {
      this.#write(keyPath, formatCertificateKey(key), false);
      return usableKey(readKey(readIfThere(keyPath) ?? '', keyPath), keyPath);
    });
  }

  /** Without `replace` an existing file stays: another process was faster, and its file is used. */
  #write(path: string, text: string, replace: boolean): void {
    try {
      writePrivateFile(path, text, { replace });
    } catch (error) {
      if (replace || systemErrorCode(error) !== 'EEXIST' || readIfThere(path) === null) throw error;
    }
  }
}

/**
 * Returns the key if it is ECDSA, the only kind that we sign with. Another kind was put there by the operator, so it is
 * not replaced.
 */
function usableKey(key: KeyObject, keyPath: string): KeyObject {
  if (key.asymmetricKeyType === 'ec') return key;
  throw broken(`the key in ${keyPath} is not an ECDSA key, so the relay cannot make a new certificate with it`);
}

function readIfThere(path: string): string | null {
  try {
    return readCertificateFile(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null;
    throw unreadable(path, error);
  }
}

function broken(message: string, cause?: unknown): TowpathError {
  return new TowpathError('TOWPATH_CERTIFICATE_BROKEN', message, {
    hint:
      'Nothing was overwritten. Restore the files from a backup to keep the pin. Or move them away and start again: ' +
      'a new certificate is made, and its pin must go into the DERP map ("towpath derp-map").',
    cause,
  });
}

/** Runs an action on the disk, and turns its errors into one that names the file. */
function guardWrite<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof TowpathError) throw error;
    throw unwritable(path, error);
  }
}
