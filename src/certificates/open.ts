import { existsSync } from 'node:fs';
import type { AcmeConfig } from '../config/schema/acme.ts';
import { TowpathError } from '../base/errors.ts';
import { inspectAcme, openAcmeSource, type AcmeParts, type AcmePlace } from './acme/open.ts';
import { AutoCertificateSource, AutoMemory, sayChoice } from './auto-source.ts';
import { FileCertificateSource } from './file-source.ts';
import { inspectSelfSigned } from './inspect-self-signed.ts';
import { canonicalNames, derperPaths, isPublicName, selfSignedNames } from './names.ts';
import { describeChain, readCertificateFile, readChain } from './read.ts';
import { SelfSignedCertificateSource } from './self-signed-source.ts';
import type { CertificateInfo, CertificateSource, HealthReport } from './source.ts';
import { MetaCertificateSource } from './meta-certificate-source.ts';
import type { EventLog } from '../base/event-log.ts';
import type { TickingClock } from '../base/clock.ts';
import { unreadable } from './file-errors.ts';

/** The `certificate` section of the configuration, and where the relay listens. */
export interface CertificateSettings {
  readonly mode: 'self-signed' | 'file' | 'acme' | 'auto';
  readonly directory: string;
  /** Without `file` and `keyFile`, mode `file` uses `DIRECTORY/NAME.crt` and `.key`, as derper does. */
  readonly file?: string | undefined;
  readonly keyFile?: string | undefined;
  /** May be empty: a self-signed certificate is then made for the addresses listened on. */
  readonly names: readonly string[];
  readonly listenIps: readonly string[];
  readonly validityDays: number;
  readonly renewBeforeDays: number;
  readonly pollSeconds: number;
  /** Needed in modes `acme` and `auto`. */
  readonly acme?: AcmeConfig;
  /** Public addresses of the relay, if known. */
  readonly publicIp?: readonly string[];
}

/** Parts of the process that certificate sources use. */
export interface CertificateParts {
  readonly serverPublicKey: Buffer;
  readonly clock: TickingClock;
  readonly log: EventLog;
  /** Wall clock, milliseconds since 1970; for tests. */
  readonly now?: () => number;
  /** Receives the problem of a certificate that cannot be ordered or renewed. */
  readonly health?: HealthReport;
  /** Whether HTTP-01 is answered; by default not. */
  readonly answersHttp?: AcmeParts['answersHttp'];
  readonly request?: AcmeParts['request'];
  readonly openClient?: AcmeParts['openClient'];
  readonly random?: AcmeParts['random'];
}

/** Opens the server's certificate, followed by the meta-certificate. Throws a {@link TowpathError}. */
export function openCertificateSource(settings: CertificateSettings, parts: CertificateParts): CertificateSource {
  const { clock, log, now = Date.now, serverPublicKey } = parts;
  return new MetaCertificateSource(openSource(settings, parts), { serverPublicKey, clock, log, now });
}

function openSource(settings: CertificateSettings, parts: CertificateParts): CertificateSource {
  const { clock, health, log, now = Date.now } = parts;
  const names = namesOf(settings);
  switch (settings.mode) {
    case 'file':
      return new FileCertificateSource({ ...settings, names, ...filePaths(settings, names), clock, health, log, now });
    case 'self-signed':
      return new SelfSignedCertificateSource({ ...settings, names, clock, health, log, now });
    case 'acme':
      return openAcmeSource(acmeOf(settings), acmePlace(settings), acmeParts(parts));
    case 'auto':
      return openAuto(settings, parts, names);
  }
}

/** Opens the source of mode `auto`. Its choice is always logged. */
function openAuto(settings: CertificateSettings, parts: CertificateParts, names: string[]): CertificateSource {
  const { clock, health, log, now = Date.now } = parts;
  const memory = new AutoMemory(settings.directory);
  const place = acmePlace(settings);
  const openSelfSigned = (): CertificateSource =>
    new SelfSignedCertificateSource({ ...settings, names, clock, health, log, now });
  const why = whyNotAcme(settings);
  if (why !== null) {
    sayChoice(log, memory, 'self-signed', why);
    return openSelfSigned();
  }
  const made = memory.choice(place.names);
  if (made !== null) {
    sayChoice(log, memory, made.choice, `${made.why} (decided at an earlier start)`);
    return made.choice === 'acme' ? openAcmeSource(acmeOf(settings), place, acmeParts(parts)) : openSelfSigned();
  }
  log.info({ names: place.names }, 'certificate mode auto: trying a certificate authority');
  return new AutoCertificateSource({
    selfSigned: openSelfSigned(),
    openAcme: (onFailure) => openAcmeSource(acmeOf(settings), place, acmeParts(parts), onFailure),
    memory,
    names: place.names,
    log,
    health: acmeParts(parts).health,
  });
}

/** Returns why an authority cannot be used, without a request to it; null when it can be tried. */
function whyNotAcme(settings: CertificateSettings): string | null {
  const { termsAgreed } = acmeOf(settings);
  const { names } = acmePlace(settings);
  if (!termsAgreed) return 'certificate.acme.termsAgreed is not true';
  if (names.length === 0) return 'neither hostname nor publicIp is set';
  const inner = names.filter((name) => !isPublicName(name));
  if (inner.length > 0) return `no authority issues certificates for ${inner.join(', ')}, which is not public`;
  return null;
}

function acmeOf({ acme }: CertificateSettings): AcmeConfig {
  if (acme !== undefined) return acme;
  throw new TowpathError('TOWPATH_ACME_SETTINGS', 'there is no section certificate.acme');
}

function acmePlace({ directory, names, publicIp = [] }: CertificateSettings): AcmePlace {
  return { directory, names: canonicalNames(names), publicIps: publicIp };
}

function acmeParts(parts: CertificateParts): AcmeParts {
  const { now = Date.now, health = { set: () => undefined }, answersHttp = false } = parts;
  return { ...parts, now, health, answersHttp };
}

/**
 * Returns facts about the certificate that the server has or will have, for `towpath derp-map`. A missing self-signed
 * certificate is made. Of files only the certificate is read, because this user may not be able to read the key. Throws a
 * {@link TowpathError}.
 */
export function inspectCertificate(
  settings: CertificateSettings,
  log: EventLog,
  now: () => number = Date.now,
): CertificateInfo {
  const names = namesOf(settings);
  if (usesAcme(settings)) return inspectAcme(acmeOf(settings), acmePlace(settings), log, now);
  if (settings.mode !== 'file') return inspectSelfSigned({ ...settings, names, log, now });
  const { certPath } = filePaths(settings, names);
  let text: string;
  try {
    text = readCertificateFile(certPath);
  } catch (error) {
    throw unreadable(certPath, error, 'Check the path, and check that this user may read the file.');
  }
  return describeChain(readChain(text, certPath));
}

/** True when there is a certificate already, so that reading it does not create one. */
export function isCertificateStored(settings: CertificateSettings): boolean {
  const names = namesOf(settings);
  return (
    settings.mode === 'file' || usesAcme(settings) || existsSync(derperPaths(settings.directory, names[0]!).certPath)
  );
}

function usesAcme({ mode, directory, names }: CertificateSettings): boolean {
  if (mode !== 'auto') return mode === 'acme';
  return new AutoMemory(directory).choice(canonicalNames(names))?.choice === 'acme';
}

function namesOf({ mode, names, listenIps }: CertificateSettings): string[] {
  return mode === 'file' || mode === 'acme' ? canonicalNames(names) : selfSignedNames(names, listenIps);
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
