import { join, resolve } from 'node:path';
import { derperPaths } from '../../certificates/names.ts';
import { describe, readCertificateFile, readChain } from '../../certificates/read.ts';
import { configKeys } from '../../config/keys.ts';
import { ipFamily } from '../../base/ip-address.ts';
import type { Draft } from './draft.ts';
import { goBool, usage, type GoFlags } from './go-flags.ts';

const DEFAULT_HOSTNAME = 'derp.tailscale.com';
const GOOGLE_DIRECTORY = 'https://dv.acme-v02.api.pki.goog/directory';
const TERMS = 'certificate.acme.termsAgreed';
const SELF_SIGNED_NOTE =
  "derper's certificate stays in use, with its pin. towpath renews it before it expires; derper does not.";

/**
 * Converts the name of the relay, and where its certificate comes from, into `draft`. Throws a TowpathError for a value
 * that derper refuses too.
 */
export function convertCertificate(flags: GoFlags, draft: Draft, isTls: boolean): void {
  const mode = flags.get('certmode') ?? 'letsencrypt';
  if (!['letsencrypt', 'gcp', 'manual'].includes(mode)) {
    throw usage(`-certmode: "${mode}" must be letsencrypt, gcp or manual`);
  }
  const hostname = flags.get('hostname') ?? DEFAULT_HOSTNAME;
  if (!draft.set({ hostname })) throw usage(`-hostname: "${hostname}" is neither a DNS name nor an IP`);
  if (hostname === DEFAULT_HOSTNAME) {
    draft.remark(`hostname is derper's default; set it to the name or address of this relay.`);
  }
  if (!isTls) {
    if (flags.has('certdir')) draft.remark('-certdir has no effect without TLS.');
    return;
  }
  if (mode === 'manual') convertManual(flags, draft, hostname);
  else convertAcme(flags, draft, mode === 'gcp');
}

function convertManual(flags: GoFlags, draft: Draft, hostname: string): void {
  const directory = certificateDirectory(flags, draft);
  const { certPath, keyPath } = derperPaths(directory, hostname);
  const isSelfSigned = readIsSelfSigned(certPath);
  if (ipFamily(hostname) !== 0 && isSelfSigned !== false) {
    draft.set(
      { 'certificate.mode': 'self-signed', 'certificate.directory': directory },
      isSelfSigned === true
        ? SELF_SIGNED_NOTE
        : 'For an IP address, derper makes a self-signed certificate if there are no files; towpath does the same.',
    );
    return;
  }
  draft.set(
    { 'certificate.mode': 'file', 'certificate.file': certPath, 'certificate.keyFile': keyPath },
    "derper's files. The relay reads them again when they change, without a restart.",
  );
  if (isSelfSigned === null) draft.remark(`${certPath} cannot be read here; make sure that the relay can read it.`);
}

/** Returns whether the certificate is self-signed; null when it cannot be read. */
function readIsSelfSigned(certPath: string): boolean | null {
  try {
    return describe(readChain(readCertificateFile(certPath), certPath)[0]).selfSigned;
  } catch {
    return null;
  }
}

function certificateDirectory(flags: GoFlags, draft: Draft): string {
  const given = flags.get('certdir') ?? '';
  const cache = userCacheDirectory();
  if (given !== '' || cache !== null) return given === '' ? join(cache!, 'tailscale', 'derper-certs') : resolve(given);
  draft.remark(
    '-certdir: this user has no home directory (HOME is not set), and derper then uses the directory in which it is started; ' +
      'set certificate.directory to the directory of its certificates, or add -certdir.',
  );
  return resolve('.');
}

/** The result of Go's os.UserCacheDir, which uses only the environment; null when it fails there. */
function userCacheDirectory(): string | null {
  const home = process.env['HOME'] ?? '';
  if (process.platform === 'darwin') return home === '' ? null : join(home, 'Library', 'Caches');
  const given = process.env['XDG_CACHE_HOME'] ?? '';
  if (given !== '') return given.startsWith('/') ? given : null;
  return home === '' ? null : join(home, '.cache');
}

function convertAcme(flags: GoFlags, draft: Draft, isGoogle: boolean): void {
  if (!configKeys.has(TERMS)) {
    draft.remark(
      '-certmode: this towpath does not get certificates from an authority; it makes a self-signed one that clients pin.',
    );
    return;
  }
  draft.set(
    { 'certificate.mode': 'acme', [TERMS]: true },
    'derper agrees to the terms of the authority without asking. towpath gets a new certificate at its first start; it does not use -certdir.',
  );
  const email = flags.get('acme-email') ?? '';
  if (email !== '' && !draft.set({ 'certificate.acme.email': email })) {
    draft.remark(`-acme-email: "${email}" is not an e-mail address and is left out.`);
  }
  if (isGoogle) convertGoogle(flags, draft);
  else if (flags.has('acme-eab-kid')) convertEab(flags, draft);
  if (goBool(flags.get('acme-ip-certs') ?? 'false')) {
    draft.remark(
      '-acme-ip-certs: derper gets certificates for the addresses of this machine when clients need them. With towpath, list ' +
        'the addresses and the hostname in certificate.names.',
    );
  }
}

function convertGoogle(flags: GoFlags, draft: Draft): void {
  draft.set({ 'certificate.acme.directory': GOOGLE_DIRECTORY });
  convertEab(flags, draft);
}

/** The key is a secret, so it goes into a file and not into the configuration. */
function convertEab(flags: GoFlags, draft: Draft): void {
  const keyId = flags.get('acme-eab-kid') ?? '';
  const hmacKeyFile = '/var/lib/towpath/eab.key';
  if (draft.set({ 'certificate.acme.eab.keyId': keyId, 'certificate.acme.eab.hmacKeyFile': hmacKeyFile })) {
    draft.remark(
      `-acme-eab-key: write its value to ${hmacKeyFile}; only the relay's user should be able to read the file.`,
    );
  } else {
    draft.remark('-acme-eab-kid: set certificate.acme.eab by hand.');
  }
}
