import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseKeyList } from '../../admission/key-list.ts';
import { openSecret } from '../../admission/secret.ts';
import { errorMessage, systemErrorCode, TowpathError } from '../../base/errors.ts';
import { readSmallFile } from '../../base/file-stamp.ts';
import { redactPath } from '../../base/redact-url.ts';
import type { AdmissionSourceConfig } from '../../config/schema/admission-sources.ts';
import type { Config } from '../../config/schema.ts';
import { check, type Check } from './check.ts';
import { certificateCheck, keyFileCheck } from './setup.ts';

/** As the relay reads them. */
const LIST_BYTES = 16 * 1024 * 1024;
const PEM_BYTES = 1024 * 1024;
const PAGE_BYTES = 1024 * 1024;
/** systemd puts the credentials of a service here while it runs. */
const CREDENTIALS = /^\/run\/credentials\//;
const AS_SERVICE = 'Run this as the user that runs the relay, or as root.';

/**
 * Checks the files that a configuration names, without the network: the key of the relay, the certificate with its key,
 * lists of node keys, secrets. Files that the relay makes at its first start may be missing.
 */
export async function fileChecks(config: Config): Promise<Check[]> {
  const secrets = await Promise.all(config.admission.sources.map(secretCheck));
  const { home, certificate, peerRelay } = config;
  return [
    keyCheck(config.keyFile),
    ...certificateCheck(config).checks.filter(isNoFirstStart).map(withoutCredentials),
    ...config.admission.sources.flatMap(listChecks),
    ...secrets.flat(),
    ...readable('home.file', home.file, PAGE_BYTES),
    ...readable('derpMap.publish.pathFile', config.derpMap.publish.pathFile, PEM_BYTES),
    ...readable('certificate.acme.caFile', certificate.acme.caFile, PEM_BYTES),
    ...readable('certificate.acme.eab.hmacKeyFile', certificate.acme.eab.hmacKeyFile, PEM_BYTES),
    ...peerRelay.tailnets.flatMap(({ authKeyFile, caFile }) => [
      ...readable('peerRelay.tailnets: authKeyFile', authKeyFile, PEM_BYTES),
      ...readable('peerRelay.tailnets: caFile', caFile, PEM_BYTES),
    ]),
  ];
}

/** A missing key is made at the first start, in a folder that may be missing too; more folders are a wrong path. */
function keyCheck(path: string): Check {
  const parent = dirname(dirname(resolve(path)));
  if (existsSync(path)) return keyFileCheck(path).check;
  if (existsSync(parent))
    return check('key-file', 'ok', `${path} is not there yet; the relay makes it at its first start`);
  return check('key-file', 'failed', `${path}: there is no folder ${parent}`, {
    fix: `Correct keyFile, or make the folder: mkdir -p ${dirname(resolve(path))}`,
  });
}

/** A certificate of the relay's own is made at the first start. */
function isNoFirstStart({ status, text }: Check): boolean {
  return !(status === 'warning' && text.endsWith('is not there yet'));
}

function withoutCredentials(found: Check): Check {
  const path = /(?:^|')(\/run\/credentials\/[^\s:']+)/.exec(found.text)?.[1];
  return found.status === 'failed' && path !== undefined && isLater(path) ? later(path) : found;
}

function listChecks(source: AdmissionSourceConfig): Check[] {
  if (source.kind !== 'keys') return [];
  return [source.allowFile, source.denyFile].filter((file) => file !== undefined).map(listCheck);
}

function listCheck(file: string): Check {
  try {
    const { size } = parseKeyList(readSmallFile(file, LIST_BYTES), file);
    return check('named-file', 'ok', `${file}: ${size} ${size === 1 ? 'key' : 'keys'}`);
  } catch (error) {
    return unusable(file, error);
  }
}

async function secretCheck(source: AdmissionSourceConfig): Promise<Check[]> {
  const files = [
    'apiKeyFile' in source ? source.apiKeyFile : undefined,
    'clientSecretFile' in source ? source.clientSecretFile : undefined,
    'tokenFile' in source ? source.tokenFile : undefined,
  ].filter((file) => file !== undefined);
  return Promise.all(
    files.map(async (file) => {
      if (isLater(file)) return later(file);
      try {
        await openSecret(undefined, file)?.();
        return check('named-file', 'ok', `${file} can be used`);
      } catch (error) {
        return check('named-file', 'failed', `${source.name}: ${errorMessage(error)}`, {
          fix: `Put the secret alone into ${redactPath(file)}, readable by the user that runs the relay.`,
        });
      }
    }),
  );
}

function readable(key: string, file: string | undefined, limitBytes: number): Check[] {
  if (file === undefined) return [];
  if (isLater(file)) return [later(file)];
  try {
    readSmallFile(file, limitBytes);
    return [];
  } catch (error) {
    return [unusable(`${key}: ${file}`, error)];
  }
}

function unusable(what: string, error: unknown): Check {
  const text = errorMessage(error);
  const fix = systemErrorCode(error) === 'EACCES' ? AS_SERVICE : 'Correct the path or the file.';
  return check('named-file', 'failed', text.includes(what) ? text : `${what}: ${text}`, {
    fix: error instanceof TowpathError ? (error.hint ?? fix) : fix,
  });
}

function isLater(path: string): boolean {
  return CREDENTIALS.test(path) && !existsSync(path);
}

function later(path: string): Check {
  return check('named-file', 'skipped', `${path} is there only while systemd runs the service`);
}
