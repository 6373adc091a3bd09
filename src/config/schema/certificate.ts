import type { z } from 'zod';
import { ipFamily } from '../../base/ip-address.ts';
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
  'The TLS certificate of the relay: self-signed and pinned by clients, from files that another program renews, or from a certificate authority.',
  {
    mode: optionalKey(
      choice('self-signed', 'file', 'acme', 'auto'),
      'Where the certificate comes from. self-signed: the relay makes one, and clients pin its hash. file: PEM files. acme: a certificate authority. auto: try acme once, and use self-signed if it fails.',
      { computed: 'file if `file` and `keyFile` are set, else self-signed' },
    ),
    directory: key(
      filePath(),
      '/var/lib/towpath/certs',
      'Directory for the certificates that the relay makes or gets.',
    ),
    file: optionalKey(filePath(), "PEM file with the certificate chain; the relay's own certificate comes first."),
    keyFile: optionalKey(filePath(), 'PEM file with the private key of the certificate.'),
    names: optionalKey(hostNames(), 'DNS names and IP addresses in the certificate.', {
      computed: '`hostname`, or `publicIp` without one',
    }),
    validityDays: key(
      integer(1, 3650, 'days'),
      3650,
      'Days that a self-signed certificate is valid. Clients pin it, so a shorter time is not safer.',
    ),
    renewBeforeDays: key(
      integer(0, 3649, 'days'),
      30,
      'Days before the expiry of a self-signed certificate at which the relay makes the next one and announces its pin.',
    ),
    pollSeconds: key(
      integer(1, 86_400, 'seconds'),
      10,
      'Seconds between checks of the certificate files. New connections use a changed pair at once.',
    ),
    acme,
  },
  {
    check: (values, refuse) => {
      const { mode, file, keyFile } = values;
      if (mode !== undefined && mode !== 'file') {
        if (file !== undefined) refuse('file', `cannot be used with mode ${mode}`);
        if (keyFile !== undefined) refuse('keyFile', `cannot be used with mode ${mode}`);
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

/**
 * Returns what keeps mode acme from working with the rest of the configuration: the wrong key and the reason. Null when
 * nothing does.
 */
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
