import { X509Certificate } from 'node:crypto';
import { describe } from '../../certificates/read.ts';
import type { CertificateInfo } from '../../certificates/source.ts';
import { connectDerp } from '../../client/connect.ts';
import { serverNameFor } from '../../client/relay-url.ts';
import type { Clock } from '../../base/clock.ts';
import { TowpathError } from '../../base/errors.ts';
import type { StreamHandler, Transport } from '../../transport/port.ts';
import { formatHostPort } from '../../base/ip-address.ts';
import { isMetaCertificate, readMetaCertificate } from '../../certificates/x509/meta-certificate.ts';

/** What a connection to a port shows of the program there. */
export interface PortIdentity {
  readonly isRelay: boolean;
  /** The DERP key of the relay; null when it is not a relay, or its key is not known. */
  readonly serverKey: Buffer | null;
  readonly certificate: CertificateInfo | null;
  /** The certificate chain without the certificate that holds the DERP key, leaf first. */
  readonly chain: readonly X509Certificate[];
}

const IGNORE: StreamHandler = { bytes: () => undefined, writable: () => undefined, closed: () => undefined };

/** The port to connect to. */
export interface InspectPortOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly ip: string;
  readonly port: number;
  /** The name to send as SNI; an IP address sends none. */
  readonly host: string;
  readonly secure: boolean;
  readonly timeoutMs: number;
}

/** Connects to a port without verifying its certificate. Rejects with the transport's TowpathError when there is no TLS. */
export async function inspectPort(options: InspectPortOptions): Promise<PortIdentity> {
  const { transport, ip, port, host, timeoutMs } = options;
  if (!options.secure) return { ...(await greetingAt(options)), certificate: null, chain: [] };
  const tls = { serverName: serverNameFor(host), verify: { kind: 'none' } as const };
  const { stream } = await transport.connect({ host: ip, port, tls, timeoutMs }, IGNORE);
  const chain = stream.tls?.chain ?? [];
  stream.abort();
  const own = chain.map((der) => new X509Certificate(der)).filter((each) => !isMetaCertificate(each));
  const certificate = own[0] === undefined ? null : describe(own[0]);
  const serverKey = readMetaCertificate(chain)?.serverKey ?? null;
  if (serverKey !== null) return { isRelay: true, serverKey, certificate, chain: own };
  // Behind a proxy that does TLS, the relay's key is only in its first frame.
  const greeting = await greetingAt(options).catch(notDerp);
  return { ...greeting, certificate, chain: own };
}

/** Logs in to read the relay's first frames. */
async function greetingAt(options: InspectPortOptions): Promise<Omit<PortIdentity, 'certificate' | 'chain'>> {
  const { transport, clock, ip, port, host, secure, timeoutMs } = options;
  try {
    const client = await connectDerp({
      transport,
      clock,
      url: `${secure ? 'https' : 'http'}://${formatHostPort(host, port)}/derp`,
      ipOverride: ip,
      verify: { kind: 'none' },
      timeoutMs,
    });
    client.close();
    return { isRelay: true, serverKey: client.facts.serverKey };
  } catch (error) {
    // This error comes only after the first frame, so it is a relay.
    if (error instanceof TowpathError && error.code === 'TOWPATH_CLIENT_REFUSED')
      return { isRelay: true, serverKey: null };
    if (error instanceof TowpathError && error.code.startsWith('TOWPATH_CLIENT_')) return notDerp(error);
    throw error;
  }
}

function notDerp(error: unknown): Omit<PortIdentity, 'certificate' | 'chain'> {
  if (error instanceof TowpathError) return { isRelay: false, serverKey: null };
  throw error;
}
