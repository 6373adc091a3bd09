import { TowpathError } from '../../base/errors.ts';
import type { CertificatePair, Listener, ListenerHandler, ListenOptions, Transport } from '../port.ts';
import { connect } from './connect.ts';
import { bindDatagram } from './datagram.ts';
import { listen, listenUnix, readsBeforeTls } from './listener.ts';
import { checkCertificatePair } from './tls-options.ts';
import { probeTls, type TlsFindings } from './probe.ts';

/** The figure of docs/performance.md for idle connections, rounded up. Connections with PROXY headers need most. */
const CONNECTION_BYTES = 16 * 1024;

/** Options of {@link createBunTransport}. */
export interface BunTransportOptions {
  /** Replaces the findings of the probes, so that tests can run the alternatives. */
  readonly findings?: TlsFindings;
}

/** Bun's sockets behind the transport port. */
export function createBunTransport(options: BunTransportOptions = {}): Transport {
  return new BunTransport(options.findings ?? null);
}

class BunTransport implements Transport {
  readonly runtime = 'bun';
  readonly connectionBytes = CONNECTION_BYTES;
  readonly connect: Transport['connect'] = connect;
  readonly bindDatagram: Transport['bindDatagram'] = bindDatagram;
  #findings: TlsFindings | Promise<TlsFindings> | null;
  #features: readonly string[] = [];

  constructor(findings: TlsFindings | null) {
    this.#findings = findings;
  }

  /** Known once a listener has TLS: the probes need a certificate. */
  get features(): readonly string[] {
    return this.#features;
  }

  async listen(options: ListenOptions, handler: ListenerHandler): Promise<Listener> {
    if (options.path !== undefined) return listenUnix(options, options.path, handler);
    if (options.tls === null) return listen(options, handler, false);
    const { replacesContext, upgrades } = await this.#probe(options.tls.certificate);
    if (readsBeforeTls(options) && !upgrades) {
      throw new TowpathError(
        'TOWPATH_RUNTIME',
        'This version of Bun cannot begin TLS on a connection that has been read from, which the PROXY protocol and tls-alpn-01 need.',
        {
          hint: 'Use the version of Bun that package.json names, or run the relay with Node.',
        },
      );
    }
    return listen(options, handler, replacesContext);
  }

  async #probe(certificate: CertificatePair): Promise<TlsFindings> {
    checkCertificatePair(certificate);
    this.#findings ??= probeTls(certificate);
    const findings = await this.#findings;
    this.#features = describe(findings);
    if (!findings.refusesOldTls) {
      throw new TowpathError('TOWPATH_RUNTIME', 'This version of Bun would accept TLS 1.1, which is not safe.', {
        hint: 'Use the version of Bun that package.json names, or run the relay with Node.',
      });
    }
    return findings;
  }
}

function describe({ replacesContext, agreesOnAlpn, upgrades }: TlsFindings): string[] {
  return [
    `certificate-swap: ${replacesContext ? 'in place' : 'by a second listener'}`,
    `alpn: ${agreesOnAlpn ? 'on' : 'not available'}`,
    `tls-after-reading: ${upgrades ? 'on' : 'not available'}`,
  ];
}
