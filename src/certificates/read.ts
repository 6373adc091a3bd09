import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readSmallFile } from '../base/file-stamp.ts';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { alternativeNames, nameProblem } from '../wire/certificate-name.ts';
import { pinOf } from '../wire/pin.ts';
import type { CertificateInfo, CertificatePair } from './source.ts';

/** More than any chain with its key and remarks. */
const LARGEST_FILE_BYTES = 1024 * 1024;
const PEM_BEGIN = '-----BEGIN CERTIFICATE-----';
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** A certificate and its key, parsed and checked. */
export interface ReadCertificate {
  readonly pair: CertificatePair;
  readonly leaf: X509Certificate;
  readonly key: KeyObject;
  readonly info: CertificateInfo;
}

/** Reads a file with certificates or keys. Never waits. Throws the system's error. */
export function readCertificateFile(path: string): string {
  return readSmallFile(path, LARGEST_FILE_BYTES);
}

/** All certificates of a PEM text, leaf first. Throws a {@link TowpathError} that starts with `where`. */
export function readChain(certPem: string, where: string): [X509Certificate, ...X509Certificate[]] {
  const blocks = certPem.match(PEM_CERTIFICATE) ?? [];
  const [leaf, ...rest] = blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw invalid(`${where}: certificate ${index + 1} cannot be parsed (${errorMessage(error)})`);
    }
  });
  // While a file is written, the end of its chain may be missing.
  if (certPem.split(PEM_BEGIN).length - 1 > blocks.length)
    throw invalid(`${where}: it ends in the middle of a certificate`);
  if (leaf === undefined) throw invalid(`${where}: it does not contain a PEM certificate`);
  return [leaf, ...rest];
}

/**
 * Returns what is wrong with the order of a chain, or null. Each certificate must be issued by the next one.
 * Tailscale's clients accept any order; other clients do not.
 */
export function orderProblem(chain: readonly X509Certificate[]): string | null {
  const at = chain.findIndex((certificate, i) => i > 0 && !chain[i - 1]!.checkIssued(certificate));
  return at < 0 ? null : `certificate ${at + 1} did not issue certificate ${at}: the order is wrong, or one is missing`;
}

/** Checks that chain and key parse and belong together. `certPath` and `keyPath` are for the errors. */
export function readPair(pair: CertificatePair, certPath: string, keyPath: string): ReadCertificate {
  const chain = readChain(pair.certPem, certPath);
  const [leaf] = chain;
  const key = readKey(pair.keyPem, keyPath);
  if (!leaf.checkPrivateKey(key)) {
    throw new TowpathError(
      'TOWPATH_CERTIFICATE_KEY_MISMATCH',
      `the key in ${keyPath} does not belong to the first certificate in ${certPath}`,
      { hint: 'Put the certificate of the server first in the file, and use the key that belongs to it.' },
    );
  }
  return { pair, leaf, key, info: describeChain(chain) };
}

/** Parses a PEM private key; `path` is for the error. */
export function readKey(keyPem: string, path: string): KeyObject {
  try {
    return createPrivateKey(keyPem);
  } catch {
    // The cause is left out because no part of a key file may reach the log.
    throw invalid(`${path}: it does not contain a PEM private key, or the key is encrypted`);
  }
}

function invalid(message: string): TowpathError {
  return new TowpathError('TOWPATH_CERTIFICATE_INVALID', message, {
    hint: 'Restore the file, or create the certificate again.',
  });
}

/** Facts about the first certificate of a chain. */
export function describeChain([leaf, ...rest]: readonly [X509Certificate, ...X509Certificate[]]): CertificateInfo {
  return rest.length === 0 ? describe(leaf) : { ...describe(leaf), behindLeaf: rest.length };
}

/** Facts about one certificate. */
export function describe(leaf: X509Certificate): CertificateInfo {
  return {
    names: namesOf(leaf),
    notBefore: leaf.validFromDate,
    notAfter: leaf.validToDate,
    pinSha256: pinOf(leaf.raw),
    selfSigned: leaf.subject === leaf.issuer && leaf.verify(leaf.publicKey),
    next: null,
  };
}

function namesOf(leaf: X509Certificate): string[] {
  const { dns, ips } = alternativeNames(leaf);
  return [...dns.map((name) => name.toLowerCase()), ...ips];
}

/** True when a client that asks for `name`, a DNS name or an IP, accepts the certificate. */
export function covers(leaf: X509Certificate, name: string): boolean {
  return nameProblem(leaf, name) === null;
}
