import type { X509Certificate } from 'node:crypto';
import { CharacterSet } from './character-set.ts';
import { canonicalIp, ipFamily } from '../base/ip-address.ts';

const LABEL = new CharacterSet('a-z', 'A-Z', '0-9', '-_');
const MAX_LABEL = 255;
const BETWEEN = ', ';
const SHOWN_NAMES = 5;

type HasNames = Pick<X509Certificate, 'subjectAltName'>;

/** The names and addresses of a certificate, from its subject alternative name. Clients ignore all other names. */
export interface AlternativeNames {
  /** As they are written; a wildcard is among them as `*.example.com`. */
  readonly dns: readonly string[];
  /** In canonical spelling. */
  readonly ips: readonly string[];
}

/** Reads the runtimes' text form of the extension. It quotes names with characters that could imitate another entry. */
export function alternativeNames({ subjectAltName = '' }: HasNames): AlternativeNames {
  const dns: string[] = [];
  const ips: string[] = [];
  let at = 0;
  while (at < subjectAltName.length) {
    const colon = subjectAltName.indexOf(':', at);
    if (colon < 0) break;
    const kind = subjectAltName.slice(at, colon);
    const isQuoted = subjectAltName[colon + 1] === '"';
    const next = isQuoted ? closingQuote(subjectAltName, colon + 2) : subjectAltName.indexOf(BETWEEN, colon);
    const end = next < 0 ? subjectAltName.length : next;
    const value = subjectAltName.slice(colon + 1, end);
    if (kind === 'DNS' && !isQuoted) dns.push(value);
    if (kind === 'IP Address' && !isQuoted) ips.push(canonicalIp(value.toLowerCase()));
    at = end + (isQuoted ? 1 : 0) + BETWEEN.length;
  }
  return { dns, ips };
}

/** Returns the end of the JSON string that begins before `from`. */
function closingQuote(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}

/**
 * Returns why clients do not accept the certificate for `name`, a DNS name or an IP, as text that continues "the
 * certificate"; null when they accept it. This is `VerifyHostname` of Go's crypto/x509: the common name never counts, a
 * wildcard is a whole first label, and an IP must be among the IPs.
 */
export function nameProblem(leaf: HasNames, name: string): string | null {
  const { dns, ips } = alternativeNames(leaf);
  const isIp = ipFamily(name) !== 0;
  const fits = isIp ? ips.includes(canonicalIp(name)) : dns.some((pattern) => matches(pattern, name));
  if (fits) return null;
  if (leaf.subjectAltName === undefined) {
    return `has no subject alternative name, and clients ignore its common name (CN): it is not for ${name}`;
  }
  if (isIp && ips.length === 0) return `has no IP address among its alternative names, so it is not for ${name}`;
  const names = [...dns, ...ips];
  const more = names.length > SHOWN_NAMES ? ` and ${names.length - SHOWN_NAMES} more` : '';
  return `is for ${names.slice(0, SHOWN_NAMES).join(', ') || 'no name'}${more}, not for ${name}`;
}

/** `matchHostnames` of Go. Names that are not host names must be equal letter by letter. */
function matches(pattern: string, name: string): boolean {
  const [wanted, host] = [pattern.toLowerCase(), name.toLowerCase()];
  if (!isHostName(pattern, true) || !isHostName(name, false)) {
    return wanted === host && wanted !== '' && wanted !== '.';
  }
  const [patternLabels, hostLabels] = [wanted.split('.'), withoutFinalDot(host).split('.')];
  return (
    patternLabels.length === hostLabels.length &&
    patternLabels.every((label, index) => (index === 0 && label === '*') || label === hostLabels[index])
  );
}

function isHostName(text: string, isPattern: boolean): boolean {
  const name = isPattern ? text : withoutFinalDot(text);
  if (name === '*') return false;
  return name
    .split('.')
    .every(
      (label, index) =>
        (isPattern && index === 0 && label === '*') || (LABEL.holds(label, 1, MAX_LABEL) && !label.startsWith('-')),
    );
}

function withoutFinalDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name;
}
