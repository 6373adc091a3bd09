import { X509Certificate } from 'node:crypto';
import { describe } from '../certificates/read.ts';
import type { CertificateInfo } from '../certificates/source.ts';
import { connectDerp } from '../client/connect.ts';
import { serverNameFor } from '../client/relay-url.ts';
import type { Clock } from '../clock.ts';
import { TowpathError } from '../errors.ts';
import type { StreamHandler, Transport } from '../transport/port.ts';
import { formatHostPort } from '../wire/ip-address.ts';
import { isMetaCertificate, readMetaCertificate } from '../wire/meta-certificate.ts';

/** What a port shows of itself. */
export interface Presented {
  readonly isRelay: boolean;
  /** The DERP key of a relay; null when this is none, or one that keeps it from strangers. */
  readonly serverKey: Buffer | null;
  readonly certificate: CertificateInfo | null;
  /** What it presents besides the certificate with its key, leaf first. */
  readonly chain: readonly X509Certificate[];
}

const IGNORE: StreamHandler = { bytes: () => undefined, writable: () => undefined, closed: () => undefined };

/** Where to look, and with what. */
export interface LookOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly ip: string;
  readonly port: number;
  /** The name to ask for; an IP sends none. */
  readonly host: string;
  readonly secure: boolean;
  readonly timeoutMs: number;
}

/** Looks at a port without judging its certificate. Rejects with the transport's TowpathError when there is no TLS. */
export async function lookAt(options: LookOptions): Promise<Presented> {
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
  // A proxy that ends TLS hides the certificate with the key; the relay then says it in its greeting.
  const greeting = await greetingAt(options).catch(notDerp);
  return { ...greeting, certificate, chain: own };
}

/** What a relay says in its greeting. */
async function greetingAt(options: LookOptions): Promise<Omit<Presented, 'certificate' | 'chain'>> {
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
    // It comes after the greeting only.
    if (error instanceof TowpathError && error.code === 'TOWPATH_CLIENT_REFUSED')
      return { isRelay: true, serverKey: null };
    if (error instanceof TowpathError && error.code.startsWith('TOWPATH_CLIENT_')) return notDerp(error);
    throw error;
  }
}

function notDerp(error: unknown): Omit<Presented, 'certificate' | 'chain'> {
  if (error instanceof TowpathError) return { isRelay: false, serverKey: null };
  throw error;
}
