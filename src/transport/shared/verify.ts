import { createHash, type X509Certificate } from 'node:crypto';
import { TowpathError } from '../../base/errors.ts';
import { nameProblem } from '../../wire/certificate-name.ts';
import { isMetaCertificate } from '../../certificates/x509/meta-certificate.ts';

/** Longest chain that is read. It also ends chains whose issuer links form a circle. */
export const MAX_CHAIN = 16;

/** All certificates that the server presented, leaf first. */
export function presentedChain(leaf: X509Certificate | undefined): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let next = leaf; next !== undefined && chain.length < MAX_CHAIN; next = next.issuerCertificate) {
    chain.push(next);
  }
  return chain;
}

/**
 * Checks a pinned server (protocol §8.3): exactly one certificate besides `derpkey…`, its SHA-256 as pinned, valid
 * today, and made for `serverName` if one was asked for. Returns what is wrong, or null.
 */
export function checkPin(chain: readonly X509Certificate[], sha256: string, serverName: string): TowpathError | null {
  const own = chain.filter((certificate) => !isMetaCertificate(certificate));
  const leaf = own[0];
  if (leaf === undefined || own.length !== 1) {
    return pinError(`the server presented ${own.length} certificates where a pin allows exactly one`);
  }
  const actual = createHash('sha256').update(leaf.raw).digest('hex');
  if (actual !== sha256)
    return pinError(`the certificate is sha256-raw:${actual}, not the pinned sha256-raw:${sha256}`);
  const now = Date.now();
  if (leaf.validFromDate.getTime() > now) return pinError(`the certificate is not valid before ${leaf.validFrom}`);
  if (leaf.validToDate.getTime() < now) return pinError(`the certificate has expired on ${leaf.validTo}`);
  const problem = serverName === '' ? null : nameProblem(leaf, serverName);
  return problem === null ? null : pinError(`the certificate ${problem}`);
}

/** Node's code for a certificate that is for another name; the adapter for Bun gives it too. */
export const WRONG_NAME = 'ERR_TLS_CERT_ALTNAME_INVALID';

/**
 * Checks that a certificate with a valid chain is for `name`; an empty name accepts any. Returns what is wrong, or
 * null.
 */
export function checkName(leaf: X509Certificate, name: string): Error | null {
  const problem = name === '' ? null : nameProblem(leaf, name);
  return problem === null ? null : Object.assign(new Error(`the certificate ${problem}`), { code: WRONG_NAME });
}

function pinError(what: string): TowpathError {
  return new TowpathError('TOWPATH_CONNECT_PIN', `The server's certificate is not the pinned one: ${what}.`, {
    hint: "The pin in the DERP map (CertName) must be renewed together with the server's certificate.",
  });
}
