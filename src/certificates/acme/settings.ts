import { createHash } from 'node:crypto';
import { errorMessage, TowpathError } from '../../base/errors.ts';
import type { AcmeConfig } from '../../config/schema/acme.ts';
import { ipFamily } from '../../base/ip-address.ts';
import { readCertificateFile } from '../read.ts';
import type { DnsHookOptions } from './dns-hook.ts';
import type { ChallengeType, ExternalAccount } from './port.ts';

/** The settings for one certificate: names, authority, challenges; all defaults are filled in. */
export interface AcmeSettings {
  readonly directory: string;
  readonly names: readonly string[];
  readonly email: string | null;
  /** At least one, best first. */
  readonly challenges: readonly ChallengeType[];
  readonly profile: string | null;
  readonly dnsHook: DnsHookOptions;
  readonly eabKeyId: string | null;
  /** Reads the key when it is needed; throws a {@link TowpathError}. */
  readonly readEab: () => ExternalAccount | null;
}

/** Throws a {@link TowpathError} when no name could be proven this way. */
export function acmeSettings(config: AcmeConfig, names: readonly string[], answersHttp: boolean): AcmeSettings {
  if (names.length === 0)
    throw unusable('the configuration has no name for it', 'Set hostname, publicIp or certificate.names.');
  const { directory, email = null, profile = null, dnsHook, eab } = config;
  return {
    directory,
    names,
    email,
    challenges: usableChallenges(config, names, answersHttp),
    profile,
    dnsHook,
    eabKeyId: eab.keyId ?? null,
    readEab: () => readEab(eab),
  };
}

function usableChallenges(
  { challenges, dnsHook }: AcmeConfig,
  names: readonly string[],
  answersHttp: boolean,
): ChallengeType[] {
  // A configured challenge that cannot be used is an error; one of the default list is skipped.
  if (challenges.includes('http-01') && !answersHttp)
    throw unusable('http is off, and http-01 is answered there', 'Change certificate.acme.challenges.');
  const byDefault: ChallengeType[] = answersHttp ? ['tls-alpn-01', 'http-01'] : ['tls-alpn-01'];
  const usual: ChallengeType[] = dnsHook.command.length > 0 ? ['dns-01'] : byDefault;
  const chosen = challenges.length > 0 ? [...challenges] : usual;
  const needsMore = chosen.every((type) => type === 'dns-01') && names.some((name) => ipFamily(name) !== 0);
  if (needsMore)
    throw unusable('an IP cannot be proven by dns-01', 'Add http-01 or tls-alpn-01 to certificate.acme.challenges.');
  return chosen;
}

function unusable(why: string, hint: string): TowpathError {
  return new TowpathError('TOWPATH_ACME_SETTINGS', `the relay cannot get a certificate: ${why}`, { hint });
}

function readEab({ keyId, hmacKeyFile }: AcmeConfig['eab']): ExternalAccount | null {
  if (keyId === undefined || hmacKeyFile === undefined) return null;
  try {
    return { keyId, hmacKey: readCertificateFile(hmacKeyFile).trim() };
  } catch (error) {
    throw new TowpathError('TOWPATH_ACME_EAB', `${hmacKeyFile}: ${errorMessage(error)}`, {
      hint: 'Check certificate.acme.eab.hmacKeyFile, and check that the user that runs towpath may read it.',
      cause: error,
    });
  }
}

/** Returns a text that changes with every setting whose change may fix an earlier failure. */
export function fingerprint({ names, email, challenges, profile, dnsHook, eabKeyId }: AcmeSettings): string {
  const text = JSON.stringify([[...names].sort(), email, challenges, profile, dnsHook, eabKeyId]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
