import { X509Certificate } from 'node:crypto';
import { systemErrorCode, TowpathError } from '../../base/errors.ts';
import type { StreamHandler, TlsFacts, Transport } from '../../transport/port.ts';
import { nameProblem } from '../../wire/certificate-name.ts';
import { isMetaCertificate, readMetaCertificate } from '../../certificates/x509/meta-certificate.ts';
import { formatPin, pinOf } from '../../wire/pin.ts';
import { runStep, type Outcome, type StepResult } from './step.ts';
import type { ProbeTarget } from './target.ts';

const DAY_MS = 86_400_000;
/** Upstream's prober warns below this too (§8.9). */
const WARN_DAYS = 7;

/** Advice that Node adds to its error, which does not help users of this program. */
const NODE_ADVICE = /; if the root CA is installed locally.*$/;

const IGNORE: StreamHandler = { bytes: () => undefined, writable: () => undefined, closed: () => undefined };

/** Checks the relay's certificate as a client of this target would; if it fails, the error says what the certificate is. */
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
      // Connect again without verification, to see what is wrong with the certificate.
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
    return { status: 'failed', text: 'the relay sent no certificate', fix: 'Configure a certificate for the relay.' };
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
  // This happens only without verification: otherwise the handshake has failed already.
  if (daysLeft < 0) return { ...fields, status: 'warning', fix: 'The certificate has expired: renew it.' };
  if (daysLeft < WARN_DAYS)
    return { ...fields, status: 'warning', fix: `Renew the certificate: it expires in ${daysLeft} days.` };
  const problem = verify.kind === 'ca' && verify.name === '' ? nameProblem(leaf, host) : null;
  if (problem === null) return fields;
  return {
    ...fields,
    status: 'warning',
    text: `${fields.text}; it ${problem}`,
    fix: `Tailscale's clients do not check the name when HostName is an IP address, but browsers do: get a certificate for ${host}, or use a name that is in the certificate.`,
  };
}

/** How to fix a certificate that clients refuse; null when the certificate is not known. */
function certificateFix(error: TowpathError, own: readonly X509Certificate[], target: ProbeTarget): string | null {
  const [leaf] = own;
  const { verify } = target;
  if (leaf === undefined || verify.kind === 'none') return null;
  const pin = formatPin(pinOf(leaf.raw));
  const isPinned = verify.kind === 'pin';
  if (isPinned && own.length > 1) {
    const other = pin === formatPin(verify.sha256) ? '' : ` Its first certificate is ${pin}.`;
    return `A pin allows one certificate, and the relay serves ${own.length}: serve only the first one, or remove the pin from CertName so that clients trust its authority.${other}`;
  }
  if (leaf.validToDate.getTime() < Date.now()) return 'Renew the certificate: it has expired.';
  if (leaf.validFromDate.getTime() > Date.now())
    return 'Check the clocks of this machine and of the relay; if they are right, wait until the certificate is valid.';
  if (isPinned && pin !== formatPin(verify.sha256)) {
    return pin === formatPin(verify.sha256.toLowerCase())
      ? `Write the pin in lower case, as clients compare it: "${pin}".`
      : `If this certificate is right, set CertName to "${pin}".`;
  }
  if (isPinned || systemErrorCode(error.cause) === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const name = isPinned || verify.name === '' ? target.host : verify.name;
    const names = leaf.subjectAltName ?? 'no name (it has no subject alternative name)';
    return `Get a certificate for ${name}; this one is for ${names}.`;
  }
  switch (systemErrorCode(error.cause)) {
    case 'INVALID_PURPOSE':
      return "Its key usage does not allow a TLS server: issue it with extendedKeyUsage serverAuth and keyUsage digitalSignature. Tailscale's clients may be less strict.";
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return `It is self-signed: probe with --pin ${pin}, and set CertName in the DERP map to the same text.`;
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return 'Serve the whole chain with the intermediate certificates (fullchain.pem), or name a private authority with --ca.';
    default:
      return `It was issued by ${leaf.issuer.replaceAll('\n', ', ')}: use a certificate of a public authority, or probe with --ca or --pin ${pin}.`;
  }
}
