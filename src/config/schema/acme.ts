import type { z } from 'zod';
import { key, optionalKey, section } from './fields.ts';
import { filePath, integer, text, texts, toggle, webAddress } from './values.ts';

/** A way to prove a name to a certificate authority. */
type AcmeChallenge = 'http-01' | 'tls-alpn-01' | 'dns-01';

/** How certificates are obtained from a certificate authority. */
export interface AcmeConfig {
  /** The URL of the directory. `staging` is already applied. */
  readonly directory: string;
  readonly staging: boolean;
  readonly termsAgreed: boolean;
  readonly email?: string | undefined;
  /** Empty: all challenges that can be used, in the order of the default. */
  readonly challenges: readonly AcmeChallenge[];
  readonly dnsHook: DnsHookConfig;
  readonly eab: ExternalAccountConfig;
  readonly profile?: string | undefined;
  readonly caFile?: string | undefined;
}

interface DnsHookConfig {
  /** Empty: none. */
  readonly command: readonly string[];
  readonly timeoutSeconds: number;
  readonly waitSeconds: number;
}

/** Both fields are set, or none. */
interface ExternalAccountConfig {
  readonly keyId?: string | undefined;
  readonly hmacKeyFile?: string | undefined;
}

const PRODUCTION = 'https://acme-v02.api.letsencrypt.org/directory';
const STAGING = 'https://acme-staging-v02.api.letsencrypt.org/directory';

const dnsHook: z.ZodType<DnsHookConfig> = section(
  'Your own command that adds and removes DNS TXT records, for dns-01.',
  {
    command: key(
      texts(/^[^\0]+$/, 'words'),
      [],
      'Program and its arguments, run without a shell. The relay adds three arguments: set or clear, the name of the record, and its value.',
    ),
    timeoutSeconds: key(integer(1, 600, 'seconds'), 60, 'Seconds that the command may run; then it is killed.'),
    waitSeconds: key(
      integer(0, 3600, 'seconds'),
      30,
      'Seconds to wait after the command, until all name servers have the record.',
    ),
  },
  { flags: false },
);

const eab: z.ZodType<ExternalAccountConfig> = section(
  'Your existing account with the certificate authority, if it requires one (external account binding).',
  {
    keyId: optionalKey(text(/^\S+$/, 'the key ID'), 'Key ID from the certificate authority.'),
    hmacKeyFile: optionalKey(filePath(), 'File with the HMAC key from the certificate authority, in base64url.'),
  },
  {
    check: ({ keyId, hmacKeyFile }, refuse) => {
      if (keyId !== undefined && hmacKeyFile === undefined) refuse('hmacKeyFile', 'is missing: keyId needs it');
      if (keyId === undefined && hmacKeyFile !== undefined) refuse('keyId', 'is missing: hmacKeyFile needs it');
    },
    flags: false,
  },
);

export const acme: z.ZodType<AcmeConfig> = section(
  'How the relay gets certificates from a certificate authority, for the modes acme and auto.',
  {
    termsAgreed: key(
      toggle(),
      false,
      'True: you have read the terms of the certificate authority and agree to them. The relay does not contact it before.',
    ),
    email: optionalKey(
      text(/^[^\s@,]+@[^\s@,]+$/, 'an e-mail address'),
      'E-mail address at which the certificate authority can reach you.',
    ),
    directory: optionalKey(webAddress('https'), 'URL of the ACME directory of the certificate authority.', {
      computed: `${PRODUCTION}, or with staging ${STAGING}`,
    }),
    staging: key(
      toggle(),
      false,
      "Use the staging directory of Let's Encrypt, for tests: clients refuse its certificates, but failures do not count against your limits.",
    ),
    challenges: key(
      texts(/^(?:http-01|tls-alpn-01|dns-01)$/, 'http-01, tls-alpn-01, dns-01'),
      [],
      'ACME challenges to use, the preferred one first; after a failure the relay tries the next one. Empty: dns-01 if there is a hook, else tls-alpn-01 and http-01.',
    ),
    profile: optionalKey(text(/^[\w.-]+$/, 'the name of a profile'), 'Certificate profile to ask the authority for.', {
      computed: "shortlived when a name is an IP and the authority offers it, else the authority's default",
    }),
    caFile: optionalKey(
      filePath(),
      'PEM file with the root certificate of a private certificate authority; the relay trusts it for the ACME directory only.',
    ),
    dnsHook,
    eab,
  },
  {
    check: ({ directory, staging, challenges, dnsHook: hook }, refuse) => {
      if (staging && directory !== undefined) refuse('staging', 'cannot be used together with directory');
      if (challenges.includes('dns-01') && hook.command.length === 0) {
        refuse('challenges', 'dns-01 needs dnsHook.command');
      }
      if (challenges.length > 0 && !challenges.includes('dns-01') && hook.command.length > 0) {
        refuse('challenges', 'dnsHook.command has no effect without dns-01');
      }
    },
    complete: (values): AcmeConfig => ({
      ...values,
      directory: values.directory ?? (values.staging ? STAGING : PRODUCTION),
      challenges: values.challenges.filter(isChallenge),
    }),
  },
);

function isChallenge(word: string): word is AcmeChallenge {
  return word === 'http-01' || word === 'tls-alpn-01' || word === 'dns-01';
}
