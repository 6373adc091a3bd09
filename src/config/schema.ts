/**
 * The configuration. One schema, this file and `schema/`, gives the type, the check, the help text, the flag, the
 * environment variable and the page docs/configuration.md. `load.ts` merges file, environment, flags and defaults; `print.ts`
 * shows where each value comes from.
 */
import type { z } from 'zod';
import { accounting, type AccountingConfig } from './schema/accounting.ts';
import { admin, type AdminConfig } from './schema/admin.ts';
import { admission, type AdmissionConfig } from './schema/admission.ts';
import { bootstrapDns, type BootstrapDnsConfig } from './schema/bootstrap-dns.ts';
import { acmeConflict, certificate, type CertificateConfig } from './schema/certificate.ts';
import { derpMap, type DerpMapConfig } from './schema/derp-map.ts';
import { cluster, type ClusterConfig } from './schema/cluster.ts';
import { drain, type DrainConfig } from './schema/drain.ts';
import { fairness, type FairnessConfig } from './schema/fairness.ts';
import { key, optionalKey, section } from './schema/fields.ts';
import { home, type HomeConfig } from './schema/home.ts';
import { limits, type LimitsConfig } from './schema/limits.ts';
import { log, type LogConfig } from './schema/log.ts';
import { peerRelay, type PeerRelayConfig } from './schema/peer-relay.ts';
import { proxy, type ProxyConfig } from './schema/proxy.ts';
import { mesh, type MeshConfig } from './schema/mesh.ts';
import { overlaps } from './schema/overlap.ts';
import { region, type RegionConfig } from './schema/region.ts';
import { sources, type SourcesConfig } from './schema/sources.ts';
import { hasQuota } from './schema/tiers.ts';
import { stun, type StunConfig } from './schema/stun.ts';
import { threads, type ThreadsConfig } from './schema/threads.ts';
import {
  addresses,
  addressesOrOff,
  choice,
  filePath,
  hostName,
  integer,
  ips,
  toggle,
  type ListenAddress,
} from './schema/values.ts';

export type { ListenAddress };

/** The whole configuration, with every default filled in. */
export interface Config {
  /** At least one. */
  readonly listen: readonly ListenAddress[];
  /** Empty: off. */
  readonly http: readonly ListenAddress[];
  readonly admin: AdminConfig;
  /** Plain: a proxy in front does TLS. */
  readonly transport: 'tls' | 'plain';
  readonly proxy: ProxyConfig;
  readonly sources: SourcesConfig;
  readonly stun: StunConfig;
  readonly hostname?: string | undefined;
  readonly publicIp: readonly string[];
  readonly derpPort?: number | undefined;
  readonly keyFile: string;
  readonly certificate: CertificateConfig;
  readonly home: HomeConfig;
  readonly log: LogConfig;
  readonly duplicates: 'last-writer' | 'disable-fighters';
  readonly fairness: FairnessConfig;
  readonly limits: LimitsConfig;
  readonly drain: DrainConfig;
  readonly region: RegionConfig;
  readonly derpMap: DerpMapConfig;
  readonly mesh: MeshConfig;
  readonly bootstrapDns: BootstrapDnsConfig;
  readonly peerRelay: PeerRelayConfig;
  readonly threads: ThreadsConfig;
  readonly selfTest: boolean;
  readonly admission: AdmissionConfig;
  readonly accounting: AccountingConfig;
  readonly cluster: ClusterConfig;
}

/** The only source of the configuration's types, defaults, checks and help texts. */
export const configSchema: z.ZodType<Config> = section(
  'Configuration of a towpath relay.',
  {
    listen: key(
      addresses(),
      '[::]:443',
      'TCP addresses on which the relay listens for clients, with TLS unless `transport` is plain.',
    ),
    transport: key(
      choice('tls', 'plain'),
      'tls',
      'Who does TLS. tls: the relay. plain: a proxy in front of the relay; then only the proxies in `proxy.trusted` can connect.',
    ),
    http: key(
      addressesOrOff(),
      '[::]:80',
      'TCP addresses for HTTP without TLS (captive-portal checks and ACME challenges), or off.',
    ),
    admin,
    hostname: optionalKey(hostName(), 'DNS name or IP address at which clients reach the relay.'),
    publicIp: key(ips(), [], 'IP addresses at which clients reach the relay, for the DERP map.'),
    derpPort: optionalKey(
      integer(1, 65_535),
      'TCP port in the DERP map. Set it when a firewall or NAT forwards a different port to the relay.',
    ),
    keyFile: key(
      filePath(),
      '/var/lib/towpath/derper.key',
      "File with the relay's private key, in derper's format. The relay creates it when it is missing.",
    ),
    duplicates: key(
      choice('last-writer', 'disable-fighters'),
      'last-writer',
      'Which connection gets the packets when several have the same node key. last-writer: the one that sent last. disable-fighters: none, while they send in turns.',
    ),
    threads: key(
      threads(),
      'auto',
      'Relay threads that share the TCP ports of `listen`. auto: 1 on a machine with less than 4 cores, else one for two cores, 8 at most.',
    ),
    selfTest: key(toggle(), true, 'Send a packet through the relay after the start, and log whether it arrived.'),
    proxy,
    stun,
    sources,
    admission,
    accounting,
    cluster,
    certificate,
    home,
    log,
    fairness,
    limits,
    drain,
    region,
    derpMap,
    mesh,
    bootstrapDns,
    peerRelay,
  },
  {
    check: (values, refuse) => {
      refuseOverlaps(values, refuse);
      refuseLateAnswers(values, refuse);
      const sources = values.admission.sources.map(({ name }) => name);
      const stranger = values.fairness.tiers.flatMap((tier) => tier.sources).find((name) => !sources.includes(name));
      if (stranger !== undefined) {
        const known = sources.length === 0 ? 'there are none' : `they are ${sources.join(', ')}`;
        refuse('fairness', `tiers: ${stranger} is not one of admission.sources; ${known}`);
      }
      if (values.admin.tls && values.transport === 'plain') {
        refuse('admin', 'found true; allowed: false, because with transport plain the relay has no certificate', 'tls');
      }
      const { mode } = values.certificate;
      if (values.transport === 'plain' && mode !== 'self-signed') {
        const text = `found ${mode}; with transport plain a proxy does TLS and has the certificate: remove certificate.mode and the files here and get the certificate in the proxy, or set transport to tls`;
        refuse('certificate', text, 'mode');
        return;
      }
      const names = certificateNames(values);
      const conflict = acmeConflict({ ...values.certificate, names }, values.http.length > 0);
      if (conflict !== null) refuse(conflict.key, conflict.message);
    },
    complete: (values): Config => ({
      ...values,
      // Clients connect to the port of the proxy in front.
      derpPort: values.derpPort ?? (values.transport === 'plain' ? 443 : undefined),
      certificate: { ...values.certificate, names: certificateNames(values) },
      accounting: {
        ...values.accounting,
        enabled: values.accounting.enabled ?? values.fairness.tiers.some(hasQuota),
      },
    }),
  },
);

/** Refuses addresses that overlap, before the kernel does. */
function refuseOverlaps(
  values: Pick<Config, 'listen' | 'http' | 'admin' | 'stun'>,
  refuse: (key: 'listen' | 'http' | 'admin' | 'stun', text: string, inner?: string) => void,
): void {
  const tcp = overlaps([
    { key: 'listen', addresses: values.listen },
    { key: 'http', addresses: values.http },
    { key: 'admin', addresses: values.admin.listen === null ? [] : [values.admin.listen] },
  ]);
  for (const { key, text } of tcp) refuse(key, text, key === 'admin' ? 'listen' : undefined);
  const udp = overlaps([{ key: 'stun.listen', addresses: values.stun.listen }]);
  for (const { text } of udp) refuse('stun', text, 'listen');
}

/**
 * Refuses sources with a time limit longer than the handshake's: `failOpen` would never admit a client, and the log
 * would never say that the source is silent.
 */
function refuseLateAnswers(
  { admission, limits }: Pick<Config, 'admission' | 'limits'>,
  refuse: (key: 'admission', text: string, inner: string) => void,
): void {
  for (const source of admission.sources) {
    if (source.kind === 'keys' || source.kind === 'tailscale-api') continue;
    if (source.kind === 'headscale' && source.mode === 'api') continue;
    if (source.timeoutSeconds * 1000 < limits.derpHandshakeMs) continue;
    const text = `${source.name}: timeoutSeconds: found ${source.timeoutSeconds}; allowed: less than limits.derpHandshakeMs, which is ${limits.derpHandshakeMs} ms: the node would be gone before the answer is`;
    refuse('admission', text, 'sources');
  }
}

function certificateNames(values: {
  readonly certificate: { readonly names: readonly string[] | undefined };
  readonly hostname: string | undefined;
  readonly publicIp: readonly string[];
}): readonly string[] {
  return values.certificate.names ?? (values.hostname === undefined ? values.publicIp : [values.hostname]);
}
