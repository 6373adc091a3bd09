import type { z } from 'zod';
import { ipFamily } from '../../wire/ip-address.ts';
import { acme, type AcmeConfig } from './acme.ts';
import { key, optionalKey, section } from './fields.ts';
import { choice, filePath, hostNames, integer } from './values.ts';

type CertificateMode = 'self-signed' | 'file' | 'acme' | 'auto';

/** The TLS certificate. */
export interface CertificateConfig {
  readonly mode: CertificateMode;
  readonly directory: string;
  /** PEM chain; always present in mode `file`. */
  readonly file?: string | undefined;
  /** PEM private key; always present in mode `file`. */
  readonly keyFile?: string | undefined;
  /** May be empty when neither `hostname` nor `publicIp` is set. */
  readonly names: readonly string[];
  readonly validityDays: number;
  readonly renewBeforeDays: number;
  readonly pollSeconds: number;
  readonly acme: AcmeConfig;
}

/** The section before `names` is filled in from `hostname` or `publicIp`, which are not part of it. */
type CertificateSection = Omit<CertificateConfig, 'names'> & { readonly names: readonly string[] | undefined };

export const certificate: z.ZodType<CertificateSection> = section(
  'The TLS certificate of the relay: one of its own that clients pin, files that something else renews, or one that it obtains from a certificate authority.',
  {
    mode: optionalKey(
      choice('self-signed', 'file', 'acme', 'auto'),
      'Where the certificate comes from: self-signed makes one that clients pin by its hash, file reads PEM files, acme obtains one from a certificate authority, auto tries acme once and falls back to self-signed.',
      { computed: 'file when `file` and `keyFile` are given, else self-signed' },
    ),
    directory: key(
      filePath(),
      '/var/lib/towpath/certs',
      'Directory in which the relay keeps certificates that it makes or obtains.',
    ),
    file: optionalKey(filePath(), 'PEM file with the certificate and its chain, leaf first.'),
    keyFile: optionalKey(filePath(), 'PEM file with the private key of the certificate.'),
    names: optionalKey(hostNames(), 'DNS names and IPs that the certificate is made or obtained for.', {
      computed: '`hostname`, or else `publicIp`',
    }),
    validityDays: key(
      integer(1, 3650, 'days'),
      3650,
      'Days for which a self-signed certificate is valid; clients pin it, so a short life gains nothing.',
    ),
    renewBeforeDays: key(
      integer(0, 3649, 'days'),
      30,
      'Days before its end at which a self-signed certificate is replaced; clients must have the new pin by then.',
    ),
    pollSeconds: key(
      integer(1, 86_400, 'seconds'),
      10,
      'Seconds between two looks at the certificate files; a changed pair is used for new connections at once.',
    ),
    acme,
  },
  {
    check: (values, refuse) => {
      const { mode, file, keyFile } = values;
      if (mode !== undefined && mode !== 'file') {
        if (file !== undefined) refuse('file', `is of no use with mode ${mode}`);
        if (keyFile !== undefined) refuse('keyFile', `is of no use with mode ${mode}`);
      } else {
        const why = mode === 'file' ? 'with mode file' : 'when the other of file and keyFile is given';
        const isNeeded = mode === 'file' || file !== undefined || keyFile !== undefined;
        if (isNeeded && file === undefined) refuse('file', `is missing: it is needed ${why}`);
        if (isNeeded && keyFile === undefined) refuse('keyFile', `is missing: it is needed ${why}`);
      }
      if (mode === 'acme' && !values.acme.termsAgreed) {
        refuse('acme', 'termsAgreed must be true: read the terms of the certificate authority first');
      }
      if (values.renewBeforeDays >= values.validityDays) {
        refuse(
          'renewBeforeDays',
          `found ${values.renewBeforeDays}; allowed: less than validityDays, which is ${values.validityDays}`,
        );
      }
    },
    complete: (values): CertificateSection => ({
      ...values,
      mode: values.mode ?? (values.file === undefined ? 'self-signed' : 'file'),
    }),
  },
);

/** What keeps mode acme from working with the rest of the configuration: the key to blame and why. */
export function acmeConflict(
  { mode, names, acme: { challenges } }: CertificateConfig,
  hasHttp: boolean,
): { readonly key: 'hostname' | 'http' | 'certificate'; readonly message: string } | null {
  if (mode !== 'acme') return null;
  if (names.length === 0) {
    return {
      key: 'hostname',
      message: 'is missing: certificate mode acme needs hostname, publicIp or certificate.names',
    };
  }
  if (!hasHttp && challenges.length === 1 && challenges[0] === 'http-01') {
    return { key: 'http', message: 'is off, but http-01 is the only one of certificate.acme.challenges' };
  }
  if (challenges.length === 1 && challenges[0] === 'dns-01' && names.some((name) => ipFamily(name) !== 0)) {
    return { key: 'certificate', message: 'acme: an IP cannot be proven by dns-01; add http-01 or tls-alpn-01' };
  }
  return null;
}
