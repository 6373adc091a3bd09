import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { errorMessage, TowpathError } from '../../errors.ts';
import type { AcmeConfig } from '../../config/schema/acme.ts';
import { ipFamily } from '../../wire/ip-address.ts';
import type { DnsHookOptions } from './dns-hook.ts';
import type { ChallengeType, ExternalAccount } from './port.ts';

/** What is obtained, from whom and how: the configuration made definite. */
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

/** What this process can do to prove a name. */
export interface ChallengeMeans {
  /** Something listens without TLS, for HTTP-01. */
  readonly http: boolean;
  /** The runtime can choose a certificate by ALPN, for TLS-ALPN-01. */
  readonly alpn: boolean;
}

const NO_ALPN =
  'this runtime cannot choose a certificate by ALPN, which tls-alpn-01 needs; use http-01 or dns-01, or run on Node';
const NO_HTTP = 'http is off, and http-01 is answered there';

/** Throws a {@link TowpathError} when no name could be proven this way. */
export function acmeSettings(config: AcmeConfig, names: readonly string[], means: ChallengeMeans): AcmeSettings {
  if (names.length === 0)
    throw unusable('there is no name to obtain one for', 'Set hostname, publicIp or certificate.names.');
  const { directory, email = null, profile = null, dnsHook, eab } = config;
  return {
    directory,
    names,
    email,
    challenges: usableChallenges(config, names, means),
    profile,
    dnsHook,
    eabKeyId: eab.keyId ?? null,
    readEab: () => readEab(eab),
  };
}

function usableChallenges(
  { challenges, dnsHook }: AcmeConfig,
  names: readonly string[],
  means: ChallengeMeans,
): ChallengeType[] {
  const refusal = (type: ChallengeType): string | null => {
    if (type === 'tls-alpn-01' && !means.alpn) return NO_ALPN;
    return type === 'http-01' && !means.http ? NO_HTTP : null;
  };
  // What was asked for and cannot be done stops the start; what is only a default is left out.
  for (const type of challenges) {
    const why = refusal(type);
    if (why !== null) throw unusable(why, 'Change certificate.acme.challenges.');
  }
  const usual: ChallengeType[] = dnsHook.command.length > 0 ? ['dns-01'] : ['tls-alpn-01', 'http-01'];
  const chosen = challenges.length > 0 ? [...challenges] : usual.filter((type) => refusal(type) === null);
  const needsMore = chosen.every((type) => type === 'dns-01') && names.some((name) => ipFamily(name) !== 0);
  if (chosen.length === 0) throw unusable(`${NO_HTTP}; ${NO_ALPN}`, 'Set http, or certificate.acme.dnsHook.');
  if (needsMore)
    throw unusable('an IP cannot be proven by dns-01', 'Add http-01 or tls-alpn-01 to certificate.acme.challenges.');
  return chosen;
}

function unusable(why: string, hint: string): TowpathError {
  return new TowpathError('TOWPATH_ACME_SETTINGS', `no certificate can be obtained: ${why}`, { hint });
}

function readEab({ keyId, hmacKeyFile }: AcmeConfig['eab']): ExternalAccount | null {
  if (keyId === undefined || hmacKeyFile === undefined) return null;
  try {
    return { keyId, hmacKey: readFileSync(hmacKeyFile, 'utf8').trim() };
  } catch (error) {
    throw new TowpathError('TOWPATH_ACME_EAB', `${hmacKeyFile}: ${errorMessage(error)}`, {
      hint: 'Check certificate.acme.eab.hmacKeyFile, and that the user that runs towpath may read it.',
      cause: error,
    });
  }
}

/** Changes when something is configured that may mend what failed before. */
export function fingerprint({ names, email, challenges, profile, dnsHook, eabKeyId }: AcmeSettings): string {
  const text = JSON.stringify([[...names].sort(), email, challenges, profile, dnsHook, eabKeyId]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
