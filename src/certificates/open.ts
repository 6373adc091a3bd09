import { existsSync, readFileSync } from 'node:fs';
import { errorMessage, TowpathError } from '../errors.ts';
import { FileCertificateSource } from './file-source.ts';
import { canonicalNames, derperPaths, selfSignedNames } from './names.ts';
import { describe, readChain } from './read.ts';
import { inspectSelfSigned, SelfSignedCertificateSource } from './self-signed-source.ts';
import type { CertificateInfo, CertificateLog, CertificateSource, TickingClock } from './source.ts';
import { MetaCertificateSource } from './with-meta.ts';

/** The `certificate` section of the configuration, and where the relay listens. */
export interface CertificateSettings {
  readonly mode: 'self-signed' | 'file';
  readonly directory: string;
  /** Without `file` and `keyFile`, mode `file` takes `DIRECTORY/NAME.crt` and `.key`, as derper does. */
  readonly file?: string | undefined;
  readonly keyFile?: string | undefined;
  /** May be empty: a self-signed certificate is then made for the addresses listened on. */
  readonly names: readonly string[];
  readonly listenIps: readonly string[];
  readonly validityDays: number;
  readonly renewBeforeDays: number;
  readonly pollSeconds: number;
}

/** What goes with the settings. */
export interface CertificateParts {
  readonly serverPublicKey: Buffer;
  readonly clock: TickingClock;
  readonly log: CertificateLog;
  /** Wall clock, milliseconds since 1970; for tests. */
  readonly now?: () => number;
}

/** Opens the server's certificate, with the meta-certificate behind it. Throws a {@link TowpathError}. */
export function openCertificateSource(settings: CertificateSettings, parts: CertificateParts): CertificateSource {
  const { clock, log, now = Date.now, serverPublicKey } = parts;
  const names = namesOf(settings);
  const source =
    settings.mode === 'file'
      ? new FileCertificateSource({ ...settings, names, ...filePaths(settings, names), clock, log, now })
      : new SelfSignedCertificateSource({ ...settings, names, clock, log, now });
  return new MetaCertificateSource(source, { serverPublicKey, clock, log, now });
}

/**
 * Facts about the certificate that the server has or will have, for `towpath derp-map`. A self-signed one is made when
 * there is none yet; of a file only the certificate is read, because the key may be out of reach.
 */
export function inspectCertificate(
  settings: CertificateSettings,
  log: CertificateLog,
  now: () => number = Date.now,
): CertificateInfo {
  const names = namesOf(settings);
  if (settings.mode === 'self-signed') return inspectSelfSigned({ ...settings, names, log, now });
  const { certPath } = filePaths(settings, names);
  let text: string;
  try {
    text = readFileSync(certPath, 'utf8');
  } catch (error) {
    throw new TowpathError('TOWPATH_CERTIFICATE_UNREADABLE', `${certPath}: ${errorMessage(error)}`, { cause: error });
  }
  return describe(readChain(text, certPath)[0]);
}

/** True when there is a certificate already, so that looking at it makes none. */
export function isCertificateStored(settings: CertificateSettings): boolean {
  const names = namesOf(settings);
  return settings.mode === 'file' || existsSync(derperPaths(settings.directory, names[0]!).certPath);
}

function namesOf({ mode, names, listenIps }: CertificateSettings): string[] {
  return mode === 'file' ? canonicalNames(names) : selfSignedNames(names, listenIps);
}

function filePaths(settings: CertificateSettings, names: readonly string[]): { certPath: string; keyPath: string } {
  const { directory, file, keyFile } = settings;
  if (file !== undefined && keyFile !== undefined) return { certPath: file, keyPath: keyFile };
  const [host] = names;
  if (host === undefined) {
    throw new TowpathError('TOWPATH_CERTIFICATE_NAME', 'there is neither a certificate file nor a name to find it by', {
      hint: 'Set certificate.file and certificate.keyFile, or hostname.',
    });
  }
  return derperPaths(directory, host);
}
