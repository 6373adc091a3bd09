import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { advertisedMap } from '../../derp-map/advertised-map.ts';
import { derperPaths, isWildcard, selfSignedNames } from '../../certificates/names.ts';
import { nameProblem } from '../../wire/certificate-name.ts';
import {
  covers,
  orderProblem,
  readCertificateFile,
  readChain,
  readPair,
  type ReadCertificate,
} from '../../certificates/read.ts';
import type { CertificateInfo } from '../../certificates/source.ts';
import { loadKeyFile } from '../../service/key-file.ts';
import type { LoadedConfig } from '../../config/load.ts';
import type { Config } from '../../config/schema.ts';
import { errorMessage, systemErrorCode, TowpathError } from '../../base/errors.ts';
import type { DerpNode } from '../../derp-map/derp-map.ts';
import { ipFamily } from '../../base/ip-address.ts';
import { formatNodeKey } from '../../wire/keys.ts';
import { formatPin } from '../../wire/pin.ts';
import { check, type Check } from './check.ts';

const DAY_MS = 86_400_000;
/** The relay warns of its own certificate from here on too. */
const WARN_DAYS = 7;
const LOOPBACK = /^(?:127\.|::1$)/;

/** Reads the configuration with `load`. Returns it, or null and a check that names its problems. */
export function configCheck(load: () => LoadedConfig): { loaded: LoadedConfig | null; checks: Check[] } {
  try {
    const loaded = load();
    const text = loaded.file === undefined ? 'no file: flags, environment and defaults' : `${loaded.file} is valid`;
    return { loaded, checks: [check('config', 'ok', text)] };
  } catch (error) {
    if (!(error instanceof TowpathError)) throw error;
    return { loaded: null, checks: [check('config', 'failed', error.message, { fix: error.hint })] };
  }
}

/** Returns warnings about settings that are allowed, but are often a mistake. */
export function configWarnings(config: Config): Check[] {
  const found: Check[] = [];
  const { admission } = config;
  if (admission.sources.length === 0 && !admission.open) {
    found.push(
      check('open', 'warning', 'everyone who knows the address can use this relay', {
        fix: 'Add a source to admission.sources (docs/admission.md), or set admission.open to true if this is intended.',
      }),
    );
  }
  return found;
}

/** Reads the key file. Returns the relay's public key, or null and a check that says why it cannot be used. */
export function keyFileCheck(path: string): { publicKey: Buffer | null; check: Check } {
  try {
    const { keyPair, warnings } = loadKeyFile(path);
    const text = `${path}: ${formatNodeKey(keyPair.publicKey)}`;
    const [warning] = warnings;
    return {
      publicKey: keyPair.publicKey,
      check:
        warning === undefined
          ? check('key-file', 'ok', text)
          : check('key-file', 'warning', 'other users can read the key file', {
              fix: `Run "chmod 600 ${path}".`,
            }),
    };
  } catch (error) {
    return { publicKey: null, check: check('key-file', 'failed', errorMessage(error), { fix: keyFix(error) }) };
  }
}

function keyFix(error: unknown): string | undefined {
  const code = error instanceof TowpathError ? systemErrorCode(error.cause) : '';
  if (code === 'EACCES') return 'Run the doctor as the user that runs the relay, or as root.';
  if (code === 'ENOENT')
    return 'The relay creates it at its first start. If it has run before, check that keyFile is the right path.';
  return error instanceof TowpathError ? error.hint : undefined;
}

/** Where the relay keeps its certificate; null when the configuration does not say. */
function certificatePaths(config: Config): { certPath: string; keyPath: string } | null {
  const { file, keyFile, mode, names, directory } = config.certificate;
  if (file !== undefined && keyFile !== undefined) return { certPath: file, keyPath: keyFile };
  const [name] = selfSignedNames(
    names,
    config.listen.map(({ ip }) => ip),
  );
  if (name === undefined) return null;
  const issued = mode === 'self-signed' ? null : findIssued(directory, name);
  return issued === null ? derperPaths(directory, name) : { certPath: issued, keyPath: issued };
}

/** What the relay obtained from an authority: a file with key and chain, in a folder for each authority. */
function findIssued(directory: string, name: string): string | null {
  const folder = join(directory, 'acme');
  const file = `${name.replaceAll(':', '-').replaceAll(/[^A-Za-z0-9.-]/g, '')}.pem`;
  const authorities = existsSync(folder) ? readdirSync(folder) : [];
  return authorities.map((authority) => join(folder, authority, file)).find((path) => existsSync(path)) ?? null;
}

/** Checks the certificate on the disk. The doctor does not create or renew it. */
export function certificateCheck(config: Config): { stored: ReadCertificate | null; checks: Check[] } {
  if (config.transport === 'plain') {
    return { stored: null, checks: [check('certificate', 'skipped', 'the proxy in front has the certificate')] };
  }
  const paths = certificatePaths(config);
  if (paths === null)
    return { stored: null, checks: [check('certificate', 'skipped', 'the configuration has no name for it')] };
  const { certPath, keyPath } = paths;
  try {
    const pair = { certPem: readCertificateFile(certPath), keyPem: readCertificateFile(keyPath) };
    const stored = readPair(pair, certPath, keyPath);
    const checks = [
      validity('certificate', stored.info, certPath, config),
      ...orderCheck(pair.certPem, certPath),
      ...nameCheck(config, stored),
    ];
    return { stored, checks };
  } catch (error) {
    const isMissing = systemErrorCode(error) === 'ENOENT';
    const isOurs = config.certificate.mode !== 'file';
    const status = isMissing && isOurs ? 'warning' : 'failed';
    const text = isMissing && isOurs ? `${certPath} is not there yet` : errorMessage(error);
    return { stored: null, checks: [check('certificate', status, text, { fix: certificateFix(error, isOurs) })] };
  }
}

function orderCheck(certPem: string, certPath: string): Check[] {
  const problem = orderProblem(readChain(certPem, certPath));
  if (problem === null) return [];
  return [
    check('certificate', 'warning', `${certPath}: ${problem}`, {
      fix: 'Put the certificate of the relay first, then the one that issued it, and so on (certbot: fullchain.pem).',
    }),
  ];
}

function certificateFix(error: unknown, isOurs: boolean): string | undefined {
  switch (systemErrorCode(error)) {
    case 'ENOENT':
      return isOurs
        ? 'The relay creates or gets one at its first start.'
        : 'Put the PEM files there, or correct certificate.file and certificate.keyFile.';
    case 'EACCES':
      return 'Run the doctor as the user that runs the relay, or as root.';
    default:
      return error instanceof TowpathError ? error.hint : undefined;
  }
}

/** Whether the certificate is valid now. */
export function validity(
  step: 'certificate' | 'served-certificate',
  info: CertificateInfo,
  where: string,
  config: Config,
): Check {
  const now = Date.now();
  const day = (date: Date): string => date.toISOString().slice(0, 10);
  const days = Math.floor((info.notAfter.getTime() - now) / DAY_MS);
  const details = { pin: formatPin(info.pinSha256), names: info.names, notAfter: info.notAfter.toISOString() };
  const renew = renewalFix(config.certificate.mode, info);
  if (now < info.notBefore.getTime()) {
    return check(step, 'failed', `${where} is valid from ${info.notBefore.toISOString()} only`, {
      fix: 'Correct the clock of this machine. If the clock is right, wait, or get another certificate.',
      details,
    });
  }
  if (days < 0) {
    return check(step, 'failed', `${where} has expired on ${day(info.notAfter)}; clients refuse it`, {
      fix: renew,
      details,
    });
  }
  const kind = info.selfSigned ? 'self-signed' : 'issued';
  const text = `${where}: ${kind}, for ${info.names.join(', ') || 'no name'}, expires ${day(info.notAfter)} (${days} days)`;
  return days < WARN_DAYS
    ? check(step, 'warning', text, { fix: renew, details })
    : check(step, 'ok', text, { details });
}

function renewalFix(mode: Config['certificate']['mode'], { selfSigned }: CertificateInfo): string {
  if (mode === 'file')
    return 'Renew it with the program that issued it (certbot, lego, …). The relay reads changed files without a restart.';
  if (selfSigned) return 'Start the relay again: it makes a new one, and clients need the new pin in their DERP map.';
  return 'The relay should have renewed it: its log says why it could not.';
}

function nameCheck(config: Config, { leaf, info }: ReadCertificate): Check[] {
  const host = advertisedNode(config, info).HostName;
  // With an IP clients send no server name, and a pin is then all they check.
  if ((ipFamily(host) !== 0 && info.selfSigned) || !isKnownHost(config) || covers(leaf, host)) return [];
  const consequence =
    ipFamily(host) === 0
      ? 'clients refuse it'
      : 'browsers refuse it; Tailscale clients do not check the name when HostName is an IP address';
  return [
    check(
      'certificate',
      ipFamily(host) === 0 ? 'failed' : 'warning',
      `it ${nameProblem(leaf, host)!}; ${consequence}`,
      {
        fix: info.selfSigned
          ? 'Start the relay again with this hostname: it makes a certificate for it, with a new pin.'
          : `Get a certificate for ${host}, or correct hostname.`,
      },
    ),
  ];
}

/** This relay as `towpath derp-map` prints it. */
export function advertisedNode(config: Config, info: CertificateInfo): DerpNode {
  return advertisedMap(config, info).map.Regions[config.region.id]!.Nodes[0]!;
}

/** Whether the configuration gives the relay's name or address. */
export function isKnownHost({ hostname, publicIp, listen }: Config): boolean {
  return hostname !== undefined || publicIp.length > 0 || listen.some(({ ip }) => !isWildcard(ip));
}

/** Checks that the configuration gives a name or an address that clients can reach. */
export function advertisedCheck(config: Config): Check[] {
  if (!isKnownHost(config)) {
    return [
      check('advertised', 'failed', 'the configuration does not say at which name or address clients reach the relay', {
        fix: 'Set hostname or publicIp, for example hostname: relay.example.com.',
      }),
    ];
  }
  const host = config.hostname ?? config.publicIp[0] ?? '';
  if (!LOOPBACK.test(host) && host !== 'localhost') return [];
  return [
    check('advertised', 'warning', `${host} is this machine itself; clients on other machines cannot reach the relay`, {
      fix: 'Set hostname or publicIp to a name or address that other machines can reach.',
    }),
  ];
}
