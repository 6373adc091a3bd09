import { errorMessage, systemErrorCode, TowpathError } from '../../base/errors.ts';
import type { AcmeConfig } from '../../config/schema/acme.ts';
import { requestHttp } from '../../transport/http/request.ts';
import { describe, readCertificateFile, readChain } from '../read.ts';
import type { CertificateInfo, HealthReport } from '../source.ts';
import { AcmeCertificateSource, type AcmeSourceOptions } from './acme-source.ts';
import { openLibraryClient } from './acme-client-library.ts';
import type { OpenAcmeClient } from './port.ts';
import { acmeSettings } from './settings.ts';
import { AcmeStore } from './store.ts';
import type { Requester } from './authority-requests.ts';
import type { EventLog } from '../../base/event-log.ts';
import type { TickingClock } from '../../base/clock.ts';

/** Parts of the process that the ACME source uses. */
export interface AcmeParts {
  readonly clock: TickingClock;
  readonly log: EventLog;
  readonly health: HealthReport;
  readonly now: () => number;
  /** Whether the relay listens without TLS, for HTTP-01. */
  readonly answersHttp: boolean;
  /** For tests. */
  readonly request?: Requester | undefined;
  readonly openClient?: OpenAcmeClient | undefined;
  readonly random?: (() => number) | undefined;
}

/** The configuration that is used besides the section `acme`. */
export interface AcmePlace {
  readonly directory: string;
  readonly names: readonly string[];
  readonly publicIps: readonly string[];
}

/** Opens the source of certificates from an authority. Throws a {@link TowpathError}. */
export function openAcmeSource(
  config: AcmeConfig,
  { directory, names, publicIps }: AcmePlace,
  parts: AcmeParts,
  onFailure?: AcmeSourceOptions['onFailure'],
): AcmeCertificateSource {
  const settings = acmeSettings(config, names, parts.answersHttp);
  const request = trusting(config, parts.request ?? requestHttp);
  const { clock, log, health, now, random = Math.random } = parts;
  return new AcmeCertificateSource({
    settings,
    directory,
    request,
    clock,
    log,
    health,
    now,
    random,
    publicIps,
    openClient:
      parts.openClient ??
      ((account, email, eab) => openLibraryClient({ request, directoryUrl: settings.directory }, account, email, eab)),
    ...(onFailure === undefined ? {} : { onFailure }),
  });
}

/** Reads `caFile` for each request, so that a renewed root is trusted without a restart. */
function trusting({ caFile }: AcmeConfig, send: Requester): Requester {
  if (caFile === undefined) return send;
  let caPem = readCa(caFile);
  return (request) => {
    caPem = readCaAgain(caFile) ?? caPem;
    return send({ ...request, caPem });
  };
}

function readCa(caFile: string): string {
  try {
    const caPem = readCertificateFile(caFile);
    readChain(caPem, caFile);
    return caPem;
  } catch (error) {
    if (error instanceof TowpathError) throw error;
    throw new TowpathError('TOWPATH_ACME_SETTINGS', `${caFile}: ${errorMessage(error)}`, {
      hint: 'Check certificate.acme.caFile.',
      cause: error,
    });
  }
}

/** Returns null when the file is missing or damaged; the last root then stays in use. */
function readCaAgain(caFile: string): string | null {
  try {
    return readCa(caFile);
  } catch {
    return null;
  }
}

/**
 * Returns facts about the stored certificate, or, when there is none, those that are already certain. Changes nothing.
 */
export function inspectAcme(
  config: AcmeConfig,
  { directory, names }: AcmePlace,
  log: EventLog,
  now: () => number,
): CertificateInfo {
  const { certPath } = new AcmeStore(directory, config.directory, names[0] ?? '', log);
  try {
    return describe(readChain(readCertificateFile(certPath), certPath)[0]);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT')
      log.warn({ certPath, error: errorMessage(error) }, 'the stored certificate cannot be read');
  }
  log.warn({ certPath }, 'no certificate was issued yet; start the relay: clients can connect when it has one');
  const date = new Date(now());
  return { names, notBefore: date, notAfter: date, pinSha256: '', selfSigned: false, next: null, provisional: true };
}
