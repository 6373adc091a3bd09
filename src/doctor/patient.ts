import type { X509Certificate } from 'node:crypto';
import type { CertificateInfo } from '../certificates/source.ts';
import type { ReadCertificate } from '../certificates/read.ts';
import type { Clock } from '../clock.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { Transport } from '../transport/port.ts';
import type { DerpMap } from '../wire/derp-map.ts';
import type { PortOwner } from './port-owner.ts';
import type { Section } from './check.ts';

/** How a relay is examined. */
export interface DoctorOptions {
  readonly transport: Transport;
  /** Started by the caller. */
  readonly clock: Clock;
  /** For each thing that is waited for. */
  readonly timeoutMs: number;
  /** For everything together. */
  readonly totalMs: number;
  /** Reads the configuration; throws a TowpathError when it is not fit for use. */
  readonly load: () => LoadedConfig;
  /** What clients are told, when the caller has it. */
  readonly map: DerpMap | null;
  /** URLs of the relay as clients reach it. */
  readonly outside: readonly string[];
  /** A STUN server elsewhere; null: nobody is asked. */
  readonly stunServer: { readonly host: string; readonly port: number } | null;
  /** Raw node key that admission is asked about. */
  readonly nodeKey: Buffer | null;
  /** Called before and after each section. */
  readonly onStart?: (title: string) => void;
  readonly onSection?: (section: Section) => void;
}

/** What is known about the relay before anybody is asked over the network. */
export interface Patient extends DoctorOptions {
  readonly config: Config;
  /** Connects to the relay's own ports as a neighbour has to: with a PROXY header where it wants one. */
  readonly local: Transport;
  /** Null when the key file is of no use. */
  readonly publicKey: Buffer | null;
  /** The certificate on the disk; null when it is of no use. */
  readonly stored: ReadCertificate | null;
}

/** What was found at the ports of this machine. */
export interface Findings {
  /** The relay's process: who it is, that there is none, or null when it cannot be told. */
  relay: PortOwner | 'none' | null;
  /** The certificate that the relay serves. */
  served: CertificateInfo | null;
  /** That certificate and what the relay presents behind it; empty when that is not known. */
  chain: readonly X509Certificate[];
  /** This machine's addresses as a STUN server elsewhere sees them. */
  readonly seenIps: string[];
}
