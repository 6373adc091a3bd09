import { X509Certificate } from 'node:crypto';
import { systemErrorCode, TowpathError } from '../../errors.ts';
import type { StreamHandler, TlsFacts, Transport } from '../../transport/port.ts';
import { nameProblem } from '../../wire/certificate-name.ts';
import { isMetaCertificate, readMetaCertificate } from '../../wire/meta-certificate.ts';
import { formatPin, pinOf } from '../../wire/pin.ts';
import { runStep, type Outcome, type StepResult } from './step.ts';
import type { ProbeTarget } from './target.ts';

const DAY_MS = 86_400_000;
/** Upstream's prober complains below this too (§8.9). */
const WARN_DAYS = 7;

/** Node's advice to its own users, which is of no use to ours. */
const NODE_ADVICE = /; if the root CA is installed locally.*$/;

const IGNORE: StreamHandler = { bytes: () => undefined, writable: () => undefined, closed: () => undefined };

/** Checks the relay's certificate as a client of this target would, and says what it is when it does not pass. */
export async function tlsStep(
  transport: Transport,
  target: ProbeTarget,
  ip: string,
  port: number,
  timeoutMs: number,
): Promise<StepResult> {
  const { serverName, verify } = target;
  const connect = async (how: ProbeTarget['verify']): Promise<{ tls: TlsFacts; ms: number }> => {
    const { stream, times } = await transport.connect(
      { host: ip, port, tls: { serverName, verify: how }, timeoutMs },
      IGNORE,
    );
    stream.abort();
    return { tls: stream.tls!, ms: times.tlsMs - times.tcpMs };
  };
  return runStep('tls', async () => {
    try {
      const { tls, ms } = await connect(verify);
      return { ...judge(tls, target), ms };
    } catch (error) {
      if (!isCertificateError(error) || verify.kind === 'none') throw error;
      // Look again without judging, to be able to say what is wrong with it.
      const seen = await connect({ kind: 'none' }).catch(() => null);
      const own = seen === null ? [] : ownCertificates(seen.tls);
      const hint = certificateFix(error, own, target) ?? error.hint;
      const message = error.message.replace(NODE_ADVICE, '');
      throw new TowpathError(error.code, message, { cause: error, ...(hint === undefined ? {} : { hint }) });
    }
  });
}

function isCertificateError(error: unknown): error is TowpathError {
  return (
    error instanceof TowpathError && (error.code === 'TOWPATH_CONNECT_TLS' || error.code === 'TOWPATH_CONNECT_PIN')
  );
}

function ownCertificates(tls: TlsFacts): X509Certificate[] {
  return tls.chain.map((der) => new X509Certificate(der)).filter((certificate) => !isMetaCertificate(certificate));
}

function judge(tls: TlsFacts, { host, verify }: ProbeTarget): Outcome {
  const own = ownCertificates(tls);
  const leaf = own[0];
  if (leaf === undefined)
    return { status: 'failed', text: 'the relay presented no certificate', fix: 'Configure one.' };
  const daysLeft = Math.floor((leaf.validToDate.getTime() - Date.now()) / DAY_MS);
  const expires = leaf.validToDate.toISOString().slice(0, 10);
  const checked = { pin: 'pin matches', ca: 'trusted', none: 'not verified' }[verify.kind];
  const hasMeta = readMetaCertificate(tls.chain) !== null;
  const fields = {
    text: `${tls.version}, ${checked}, expires ${expires} (${daysLeft} days), ${own.length} in chain`,
    details: {
      version: tls.version,
      checked,
      pin: formatPin(pinOf(leaf.raw)),
      names: leaf.subjectAltName ?? '',
      subject: leaf.subject.replaceAll('\n', ', '),
      issuer: leaf.issuer.replaceAll('\n', ', '),
      validFrom: leaf.validFromDate.toISOString(),
      validTo: leaf.validToDate.toISOString(),
      daysLeft,
      chainLength: own.length,
      metaCertificate: hasMeta,
    },
  };
  // Only without verification: the others have refused it.
  if (daysLeft < 0) return { ...fields, status: 'warning', fix: 'The certificate has expired: renew it.' };
  if (daysLeft < WARN_DAYS)
    return { ...fields, status: 'warning', fix: `Renew the certificate: it expires in ${daysLeft} days.` };
  const problem = verify.kind === 'ca' && verify.name === '' ? nameProblem(leaf, host) : null;
  if (problem === null) return fields;
  return {
    ...fields,
    status: 'warning',
    text: `${fields.text}; it ${problem}`,
    fix: `Tailscale's clients do not look at the name where HostName is an IP, but browsers do: get a certificate for ${host}, or use the name that it is for.`,
  };
}

/** What to do about a certificate that is refused; null when nobody could see it. */
function certificateFix(error: TowpathError, own: readonly X509Certificate[], target: ProbeTarget): string | null {
  const [leaf] = own;
  const { verify } = target;
  if (leaf === undefined || verify.kind === 'none') return null;
  const pin = formatPin(pinOf(leaf.raw));
  const isPinned = verify.kind === 'pin';
  if (isPinned && own.length > 1) {
    const other = pin === formatPin(verify.sha256) ? '' : ` Its first certificate is ${pin}.`;
    return `A pin allows one certificate, and the relay serves ${own.length}: serve the first one alone, or take the pin out of CertName and have clients trust its authority.${other}`;
  }
  if (leaf.validToDate.getTime() < Date.now()) return 'Renew the certificate: it has expired.';
  if (leaf.validFromDate.getTime() > Date.now()) return 'Set the clocks right, here and at the relay; or wait.';
  if (isPinned && pin !== formatPin(verify.sha256)) {
    return pin === formatPin(verify.sha256.toLowerCase())
      ? `Write the pin in lower case, as clients compare it: "${pin}".`
      : `If this certificate is right, set CertName to "${pin}".`;
  }
  if (isPinned || systemErrorCode(error.cause) === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const name = isPinned || verify.name === '' ? target.host : verify.name;
    const names = leaf.subjectAltName ?? 'no name at all: it has no subject alternative name';
    return `Get a certificate for ${name}; this one is for ${names}.`;
  }
  switch (systemErrorCode(error.cause)) {
    case 'INVALID_PURPOSE':
      return "Its usages are not those of a TLS server: issue it with extendedKeyUsage serverAuth and keyUsage digitalSignature. Tailscale's own clients may be less strict.";
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return `It is self-signed: check with --pin ${pin}, and put the same text into CertName of the DERP map.`;
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return 'Serve the whole chain with the intermediate certificates (fullchain.pem), or give a private authority with --ca.';
    default:
      return `It was issued by ${leaf.issuer.replaceAll('\n', ', ')}: use one of a public authority, or --ca or --pin ${pin}.`;
  }
}
