/** The kind of failure: decides the message and when to retry. */
export type FailureKind =
  /** The authority did not answer, or the server is not an ACME server. */
  | 'unreachable'
  /** The answer cannot be understood. */
  | 'answer'
  /** It refuses to issue a certificate now (rate limit). */
  | 'rate-limit'
  /** It does not know our account any more. */
  | 'no-account'
  /** It does not accept the certificate to be replaced. */
  | 'replaces'
  /** It could not validate the challenge. */
  | 'challenge'
  /** The clock of this machine is wrong, so dates cannot be compared. */
  | 'clock'
  /** It refused for another reason. */
  | 'refused'
  /** A fault of this machine. */
  | 'local';

/** Why there is no certificate; the message is for the operator. */
export class AcmeFailure extends Error {
  readonly kind: FailureKind;
  readonly hint: string | undefined;
  /** Earliest time of a new attempt, in milliseconds since 1970, or null. */
  readonly retryAt: number | null;

  constructor(kind: FailureKind, message: string, options: { hint?: string; retryAt?: number | null } = {}) {
    super(message);
    this.name = 'AcmeFailure';
    this.kind = kind;
    this.hint = options.hint;
    this.retryAt = options.retryAt ?? null;
  }
}

/** The parts of a problem document (RFC 7807) that are used. */
export interface Problem {
  readonly type: string;
  readonly detail: string;
}

/** The request to which the authority answered with a problem. */
export interface ProblemContext {
  /** The name that is being validated, or empty. */
  readonly name: string;
  readonly challenge: string;
  readonly retryAt: number | null;
  /** Milliseconds by which the authority's clock is ahead of ours, if known. */
  readonly aheadMs?: number;
}

const PREFIX = 'urn:ietf:params:acme:error:';
const PORTS: Readonly<Record<string, string>> = { 'http-01': 'TCP port 80', 'tls-alpn-01': 'TCP port 443' };
const DETAIL_CHARACTERS = 300;

/** The message for a problem: what happened, what the authority said, how to fix it. */
export function failureFrom(problem: Problem, context: ProblemContext): AcmeFailure {
  const type = problem.type.startsWith(PREFIX) ? problem.type.slice(PREFIX.length) : problem.type;
  const said = problem.detail.replaceAll(/\s+/g, ' ').trim().slice(0, DETAIL_CHARACTERS);
  // Some authorities report a closed port as a wrong answer.
  const isClosed = type === 'unauthorized' && /failed to connect|connection refused|timed? ?out/i.test(said);
  const { kind, message, hint } = wordsFor(isClosed ? 'connection' : type, context);
  const text = said === '' ? message : `${message} (the authority says: ${said})`;
  return new AcmeFailure(kind, text, { hint, retryAt: context.retryAt ?? retryDate(said, context.aheadMs ?? 0) });
}

interface Words {
  readonly kind: FailureKind;
  readonly message: string;
  readonly hint: string;
}

function wordsFor(type: string, { name, challenge }: ProblemContext): Words {
  const port = PORTS[challenge] ?? 'the port';
  const who = name === '' ? 'a name of the certificate' : name;
  switch (type) {
    case 'connection':
      return {
        kind: 'challenge',
        message: `the authority could not connect to ${who} on ${port}`,
        hint: `Open ${port} to everyone in the firewall and forward it here if there is a NAT, and check that ${who} is the address of this machine. Or choose another challenge in certificate.acme.challenges.`,
      };
    case 'dns':
      return {
        kind: 'challenge',
        message: `the authority could not look up ${challenge === 'dns-01' ? '_acme-challenge.' : ''}${who} in DNS`,
        hint: 'Check that the name exists in public DNS, that its name servers answer, and for dns-01 that the hook added the record.',
      };
    case 'unauthorized':
    case 'incorrectResponse':
      return {
        kind: 'challenge',
        message:
          challenge === 'dns-01'
            ? `the authority found another TXT record than ours at _acme-challenge.${who}`
            : `another server than this relay answered for ${who} on ${port}`,
        hint:
          challenge === 'dns-01'
            ? 'Check that the hook sets the value, and raise certificate.acme.dnsHook.waitSeconds.'
            : `Check that DNS points ${who} at this machine, in A and in AAAA, and that no proxy or other server is in front of ${port}.`,
      };
    case 'tls':
      return {
        kind: 'challenge',
        message: `TLS with ${who} on ${port} failed`,
        hint: 'A proxy in front of the relay may do TLS; then use http-01 or dns-01 in certificate.acme.challenges.',
      };
    case 'caa':
      return {
        kind: 'refused',
        message: `a CAA record of ${who} or of a domain above it does not allow this authority`,
        hint: 'Add the authority to the CAA record (for Let\'s Encrypt: 0 issue "letsencrypt.org").',
      };
    case 'rateLimited':
      return {
        kind: 'rate-limit',
        message: 'the authority limits us: it has issued or refused too many certificates recently',
        hint: 'Wait. For tests, set certificate.acme.staging.',
      };
    case 'accountDoesNotExist':
      return {
        kind: 'no-account',
        message: 'the authority does not know our account',
        hint: 'The relay creates a new one.',
      };
    case 'alreadyReplaced':
      return { kind: 'replaces', message: 'the old certificate was already replaced', hint: 'The relay orders again.' };
    case 'externalAccountRequired':
      return {
        kind: 'refused',
        message: 'the authority requires an external account',
        hint: 'Set certificate.acme.eab.keyId and certificate.acme.eab.hmacKeyFile to the values from the authority.',
      };
    case 'rejectedIdentifier':
    case 'unsupportedIdentifier':
      return {
        kind: 'refused',
        message: 'the authority does not issue for one of the names',
        hint: 'Public authorities issue for public names and public IPs only; Let\'s Encrypt requires the profile "shortlived" for an IP. Otherwise use mode self-signed.',
      };
    case 'invalidProfile':
      return {
        kind: 'refused',
        message: 'the authority does not offer this profile, or not to us',
        hint: 'Check certificate.acme.profile.',
      };
    case 'invalidContact':
    case 'unsupportedContact':
      return {
        kind: 'refused',
        message: 'the authority refuses the e-mail address',
        hint: 'Check certificate.acme.email.',
      };
    case 'userActionRequired':
      return {
        kind: 'refused',
        message: 'the authority requires an action from you first, for example to agree to new terms',
        hint: 'Read its message.',
      };
    default:
      return {
        kind: 'refused',
        message: `the authority refuses with "${type}"${name === '' ? '' : ` for ${name}`}`,
        hint: 'If the message of the authority does not help, see its status page.',
      };
  }
}

/** Let's Encrypt gives the time as text: "retry after 2026-11-24 18:00:00 UTC". */
function retryDate(detail: string, aheadMs: number): number | null {
  const [, day, time] = /retry after (\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2}) ?(?:UTC|Z)/i.exec(detail) ?? [];
  if (day === undefined || time === undefined) return null;
  const at = Date.parse(`${day}T${time}Z`);
  return Number.isNaN(at) ? null : at - aheadMs;
}
