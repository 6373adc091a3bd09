import { join } from 'node:path';
import { domainToASCII } from 'node:url';
import { TowpathError } from '../base/errors.ts';
import { canonicalIp, ipFamily, parseIp } from '../base/ip-address.ts';
import { isPublicIp } from '../base/public-ip.ts';

/**
 * The name in a self-signed certificate when the configuration has none. It only has to stay the same after restarts:
 * clients that connect to an IP with a pin ignore names.
 */
const FALLBACK_NAME = 'towpath';

/** Returns the names for a self-signed certificate: the configured ones, or the listen addresses. Never empty. */
export function selfSignedNames(configured: readonly string[], listenIps: readonly string[]): string[] {
  if (configured.length > 0) return canonicalNames(configured);
  const ips = listenIps.filter((ip) => !isWildcard(ip));
  return canonicalNames(ips.length > 0 ? ips : [FALLBACK_NAME]);
}

/** Returns names in one spelling and without duplicates: otherwise a change of case would make a new certificate. */
export function canonicalNames(names: readonly string[]): string[] {
  return [...new Set(names.map(canonicalName))];
}

/** True for `0.0.0.0` and `::`, which are not addresses of a machine. */
export function isWildcard(ip: string): boolean {
  return parseIp(ip)?.every((byte) => byte === 0) ?? false;
}

/** One spelling for each name: lower case ASCII without the final dot, or canonical IP. */
function canonicalName(name: string): string {
  const bare = name.trim().replace(/^\[(.*)\]$/, '$1');
  if (ipFamily(bare) !== 0) return canonicalIp(bare);
  const ascii = domainToASCII(bare.replace(/\.$/, ''));
  if (ascii !== '') return ascii;
  throw new TowpathError('TOWPATH_CERTIFICATE_NAME', `"${name}" is neither a DNS name nor an IP address`, {
    hint: 'Write names as "relay.example.com" and addresses as "203.0.113.7" or "2001:db8::7".',
  });
}

/** The files of one certificate. All of them belong to one key. */
export interface CertificatePaths {
  readonly certPath: string;
  readonly keyPath: string;
  /** The next certificate. */
  readonly nextPath: string;
  /** Certificates that were in use before, the last one first. */
  readonly oldPath: string;
}

/** Returns the paths of derper's certificate and key for a host (protocol reference §7.3, manual mode). */
export function derperPaths(directory: string, host: string): CertificatePaths {
  const base = join(directory, host.replaceAll(/[^A-Za-z0-9.-]/g, ''));
  return {
    certPath: `${base}.crt`,
    keyPath: `${base}.key`,
    nextPath: `${base}.next.crt`,
    oldPath: `${base}.old.crt`,
  };
}

/** Top-level names that are not in the public DNS (RFC 6761, RFC 6762 appendix G, RFC 8375, ICANN's `internal`). */
const INNER_NAMES =
  /(?:^|\.)(?:localhost|local|internal|intranet|private|corp|home|lan|test|example|invalid|onion|home\.arpa)$/;

/** True when a public authority may issue for it: a DNS name with a dot, or an IP of the public Internet. */
export function isPublicName(name: string): boolean {
  return ipFamily(name) === 0 ? name.includes('.') && !INNER_NAMES.test(name) : isPublicIp(name);
}
