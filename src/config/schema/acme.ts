import type { z } from 'zod';
import { key, optionalKey, section } from './fields.ts';
import { filePath, integer, text, texts, toggle, webAddress } from './values.ts';

/** A way to prove a name to a certificate authority. */
type AcmeChallenge = 'http-01' | 'tls-alpn-01' | 'dns-01';

/** How certificates are obtained from a certificate authority. */
export interface AcmeConfig {
  /** With `staging` already taken into account. */
  readonly directory: string;
  readonly staging: boolean;
  readonly termsAgreed: boolean;
  readonly email?: string | undefined;
  /** Empty: whatever can be used, in the order of the default. */
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

/** Both or none. */
interface ExternalAccountConfig {
  readonly keyId?: string | undefined;
  readonly hmacKeyFile?: string | undefined;
}

const PRODUCTION = 'https://acme-v02.api.letsencrypt.org/directory';
const STAGING = 'https://acme-staging-v02.api.letsencrypt.org/directory';

const dnsHook: z.ZodType<DnsHookConfig> = section(
  'A command of yours that makes and removes TXT records, for dns-01.',
  {
    command: key(
      texts(/^[^\0]+$/, 'words'),
      [],
      'Program and arguments, run without a shell and followed by set or clear, the name of the record, and its value.',
    ),
    timeoutSeconds: key(integer(1, 600, 'seconds'), 60, 'Seconds after which the command is ended.'),
    waitSeconds: key(
      integer(0, 3600, 'seconds'),
      30,
      'Seconds from the end of the command until the record can be seen on all name servers.',
    ),
  },
  { flags: false },
);

const eab: z.ZodType<ExternalAccountConfig> = section(
  'An account that you have with the authority already, where it wants one (external account binding).',
  {
    keyId: optionalKey(text(/^\S+$/, 'the key ID'), 'Key ID that the authority gave you.'),
    hmacKeyFile: optionalKey(filePath(), 'File with the HMAC key that the authority gave you, in base64url.'),
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
  'Certificates from a certificate authority, for modes acme and auto.',
  {
    termsAgreed: key(
      toggle(),
      false,
      'You have read the terms of the certificate authority and agree to them; nothing is asked of it before.',
    ),
    email: optionalKey(text(/^[^\s@,]+@[^\s@,]+$/, 'an e-mail address'), 'Address the authority may write to.'),
    directory: optionalKey(webAddress('https'), 'ACME directory of the certificate authority.', {
      computed: `${PRODUCTION}, or with staging ${STAGING}`,
    }),
    staging: key(
      toggle(),
      false,
      "Use the staging directory of Let's Encrypt: clients refuse its certificates, but trying things out is free.",
    ),
    challenges: key(
      texts(/^(?:http-01|tls-alpn-01|dns-01)$/, 'http-01, tls-alpn-01, dns-01'),
      [],
      'How names are proven, best first; after a failure the next one is tried. Empty: dns-01 with a hook, else tls-alpn-01 and http-01.',
    ),
    profile: optionalKey(text(/^[\w.-]+$/, 'the name of a profile'), 'Certificate profile of the authority.', {
      computed: 'shortlived when a name is an IP and the authority has that profile, else that of the authority',
    }),
    caFile: optionalKey(
      filePath(),
      'PEM file with the root of a private certificate authority, trusted for its directory.',
    ),
    dnsHook,
    eab,
  },
  {
    check: ({ directory, staging, challenges, dnsHook: hook }, refuse) => {
      if (staging && directory !== undefined) refuse('staging', 'is of no use together with directory');
      if (challenges.includes('dns-01') && hook.command.length === 0) {
        refuse('challenges', 'dns-01 needs dnsHook.command');
      }
      if (challenges.length > 0 && !challenges.includes('dns-01') && hook.command.length > 0) {
        refuse('challenges', 'without dns-01 dnsHook.command is of no use');
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
