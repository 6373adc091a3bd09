import { createHash } from 'node:crypto';
import { octetString } from '../x509/der.ts';
import { parseIp } from '../../base/ip-address.ts';
import { extension } from '../x509/x509.ts';
import { formatCertificateKey, generateCertificateKey, makeSelfSigned } from '../make-certificate.ts';
import type { AlpnListener, CertificatePair, ChallengeAnswers } from '../source.ts';

const ACME_IDENTIFIER = '1.3.6.1.5.5.7.1.31';
const DAY_MS = 86_400_000;

/** The current answers to ACME challenges, for both listeners. */
export class AcmeChallengeAnswers implements ChallengeAnswers {
  readonly #http = new Map<string, string>();
  readonly #alpn = new Map<string, CertificatePair>();
  readonly #listeners = new Set<AlpnListener>();

  readonly httpResponse = (token: string): string | null => this.#http.get(token) ?? null;

  readonly alpnCertificate = (serverName: string): CertificatePair | null =>
    this.#alpn.get(serverName.toLowerCase()) ?? null;

  readonly onAlpnChange = (listener: AlpnListener): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Answers `/.well-known/acme-challenge/TOKEN`; returns a function that removes the answer. */
  showHttp(token: string, answer: string): () => void {
    this.#http.set(token, answer);
    return () => this.#http.delete(token);
  }

  /** Serves the certificate of RFC 8737 to clients with server name `name` and ALPN `acme-tls/1`; returns a function that removes it. */
  showAlpn(name: string, answer: string): () => void {
    const serverName = alpnServerName(name);
    const pair = makeAlpnCertificate(name, answer);
    this.#alpn.set(serverName, pair);
    this.#tell(serverName, pair);
    return () => {
      if (this.#alpn.delete(serverName)) this.#tell(serverName, null);
    };
  }

  #tell(serverName: string, pair: CertificatePair | null): void {
    for (const listener of this.#listeners) listener(serverName, pair);
  }
}

/** The server name that the authority sends: the DNS name, or for an IP address its reverse DNS name (RFC 8738 §6). */
function alpnServerName(name: string): string {
  const ip = parseIp(name);
  if (ip === null) return name.toLowerCase();
  if (ip.length === 4) return `${[...ip].reverse().join('.')}.in-addr.arpa`;
  return `${Array.from(ip.toString('hex')).reverse().join('.')}.ip6.arpa`;
}

function makeAlpnCertificate(name: string, answer: string): CertificatePair {
  const key = generateCertificateKey();
  const digest = createHash('sha256').update(answer).digest();
  const now = Date.now();
  const certPem = makeSelfSigned(
    { names: [name], notBefore: new Date(now - DAY_MS), notAfter: new Date(now + DAY_MS) },
    key,
    [extension(ACME_IDENTIFIER, true, octetString(digest))],
  );
  return { certPem, keyPem: formatCertificateKey(key) };
}
