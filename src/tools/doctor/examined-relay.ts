import type { X509Certificate } from 'node:crypto';
import type { CertificateInfo } from '../../certificates/source.ts';
import type { ReadCertificate } from '../../certificates/read.ts';
import type { Clock } from '../../base/clock.ts';
import type { LoadedConfig } from '../../config/load.ts';
import type { Config } from '../../config/schema.ts';
import type { Transport } from '../../transport/port.ts';
import type { DerpMap } from '../../derp-map/derp-map.ts';
import type { PortOwner } from '../../base/port-owner.ts';
import type { Section } from './check.ts';

/** Options of the doctor. */
export interface DoctorOptions {
  readonly transport: Transport;
  /** Started by the caller. */
  readonly clock: Clock;
  /** Time limit of each step. */
  readonly timeoutMs: number;
  /** Time limit of all checks together. */
  readonly totalMs: number;
  /** Reads the configuration; throws a TowpathError when it cannot be used. */
  readonly load: () => LoadedConfig;
  /** The DERP map that clients get, when the caller has it. */
  readonly map: DerpMap | null;
  /** URLs of the relay as clients reach it. */
  readonly outside: readonly string[];
  /** Another STUN server to ask for the public address; null: none. */
  readonly stunServer: { readonly host: string; readonly port: number } | null;
  /** Raw node key to check against the admission sources. */
  readonly nodeKey: Buffer | null;
  /**
   * Nodes whose use of the peer relay is checked: none, one, or two that talk to each other. Names, IP addresses or
   * node keys.
   */
  readonly relayNodes: readonly string[];
  /** Called before and after each section. */
  readonly onStart?: (title: string) => void;
  readonly onSection?: (section: Section) => void;
}

/** The relay that the doctor checks: what is known from its configuration and files, without the network. */
export interface ExaminedRelay extends DoctorOptions {
  readonly config: Config;
  /** Connects to the relay's own ports from this machine, with a PROXY header where the relay requires one. */
  readonly local: Transport;
  /** Null when the key file cannot be used. */
  readonly publicKey: Buffer | null;
  /** The certificate on the disk; null when it cannot be used. */
  readonly stored: ReadCertificate | null;
}

/** Results of the port checks that later checks need. */
export interface Findings {
  /** The relay's process; 'none' when it does not run, null when it is not known. */
  relay: PortOwner | 'none' | null;
  /** The certificate that the relay serves. */
  served: CertificateInfo | null;
  /** That certificate and the rest of its chain; empty when they are not known. */
  chain: readonly X509Certificate[];
  /** Public addresses of this machine, from another STUN server. */
  readonly seenIps: string[];
}
