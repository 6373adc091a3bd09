import type { z } from 'zod';
import { key, optionalKey, section } from './fields.ts';
import { choice, filePath, hostNames, integer } from './values.ts';

/** The TLS certificate. */
export interface CertificateConfig {
  readonly mode: 'self-signed' | 'file';
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
}

/** The section before `names` is filled in from `hostname` or `publicIp`, which are not part of it. */
type CertificateSection = Omit<CertificateConfig, 'names'> & { readonly names: readonly string[] | undefined };

export const certificate: z.ZodType<CertificateSection> = section(
  'The TLS certificate of the relay: one of its own that clients pin, or files that something else renews.',
  {
    mode: optionalKey(
      choice('self-signed', 'file'),
      'Where the certificate comes from: self-signed makes one that clients pin by its hash, file reads PEM files.',
      { computed: 'file when `file` and `keyFile` are given, else self-signed' },
    ),
    directory: key(filePath(), '/var/lib/towpath/certs', 'Directory in which certificates of our own making are kept.'),
    file: optionalKey(filePath(), 'PEM file with the certificate and its chain, leaf first.'),
    keyFile: optionalKey(filePath(), 'PEM file with the private key of the certificate.'),
    names: optionalKey(hostNames(), 'DNS names and IPs that a self-signed certificate is made for.', {
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
  },
  {
    check: (values, refuse) => {
      const { mode, file, keyFile } = values;
      if (mode === 'self-signed' && file !== undefined) refuse('file', 'is of no use with mode self-signed');
      if (mode === 'self-signed' && keyFile !== undefined) refuse('keyFile', 'is of no use with mode self-signed');
      if (mode !== 'self-signed') {
        const why = mode === 'file' ? 'with mode file' : 'when the other of file and keyFile is given';
        const isNeeded = mode === 'file' || file !== undefined || keyFile !== undefined;
        if (isNeeded && file === undefined) refuse('file', `is missing: it is needed ${why}`);
        if (isNeeded && keyFile === undefined) refuse('keyFile', `is missing: it is needed ${why}`);
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
