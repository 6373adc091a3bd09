import type { Config } from '../config/schema.ts';
import type { DerpMap } from './derp-map.ts';
import { derpMapFor } from './derp-map-builder.ts';
import { ipFamily } from '../base/ip-address.ts';
import { formatPin } from '../wire/pin.ts';
import { isWildcard } from '../certificates/names.ts';
import type { CertificateInfo } from '../certificates/source.ts';

/** Placeholder in the map until the operator says where the relay is. */
const UNKNOWN_HOST = 'REPLACE-WITH-NAME-OR-IP';
const CAPTIVE_PORTAL_PORT = 80;
const NO_STUN = -1;

/** The part of the configuration that a DERP map is made of. */
export type AdvertisedConfig = Pick<
  Config,
  'listen' | 'http' | 'stun' | 'hostname' | 'publicIp' | 'derpPort' | 'region'
>;

/** Values of the command line that replace the configured ones. */
export interface MapOverrides {
  /** An address, or `none`. */
  readonly ipv4?: string | undefined;
  readonly ipv6?: string | undefined;
  readonly stunPort?: number | undefined;
  readonly omitDefaultRegions?: boolean | undefined;
}

/** A map, and notes about it. */
export interface AdvertisedMap {
  readonly map: DerpMap;
  /** A note to keep next to the map. */
  readonly comments: readonly string[];
  /** Problems of the map, as full sentences for the user. */
  readonly notes: readonly string[];
}

/** Returns the DERP map of this relay as it is configured, for the banner of `serve` and for `towpath derp-map`. */
export function advertisedMap(
  config: AdvertisedConfig,
  certificate: CertificateInfo,
  overrides: MapOverrides = {},
): AdvertisedMap {
  const ipv4 = overrides.ipv4 ?? config.publicIp.find((ip) => ipFamily(ip) === 4) ?? '';
  const ipv6 = overrides.ipv6 ?? config.publicIp.find((ip) => ipFamily(ip) === 6) ?? '';
  const hostName = hostNameFor(config, ipv4, ipv6);
  const map = derpMapFor({
    region: config.region,
    hostName,
    ipv4,
    ipv6,
    derpPort: config.derpPort ?? config.listen[0]!.port,
    stunPort: overrides.stunPort ?? config.stun.advertisedPort ?? config.stun.listen[0]?.port ?? NO_STUN,
    answersPort80: config.http.some(({ port }) => port === CAPTIVE_PORTAL_PORT),
    pin: isPinned(certificate) ? certificate.pinSha256 : null,
    omitDefaultRegions: overrides.omitDefaultRegions ?? false,
  });
  return { map, comments: renewalComments(certificate), notes: notesOn(hostName, certificate) };
}

/**
 * Returns whether clients can use the pin of a certificate. A temporary certificate is replaced before a client has its
 * pin.
 */
function isPinned({ selfSigned, provisional = false }: CertificateInfo): boolean {
  return selfSigned && !provisional;
}

function hostNameFor(config: AdvertisedConfig, ipv4: string, ipv6: string): string {
  const listening = config.listen.map(({ ip }) => ip).filter((ip) => !isWildcard(ip));
  const candidates = [config.hostname ?? '', ...[ipv4, ipv6].filter((ip) => ipFamily(ip) !== 0), ...listening];
  return candidates.find((candidate) => candidate !== '') ?? UNKNOWN_HOST;
}

function renewalComments({ next }: CertificateInfo): string[] {
  if (next === null) return [];
  return [
    `The relay changes its certificate on ${next.from.toISOString()}, or earlier on your command.`,
    `From then on CertName must be "${formatPin(next.pinSha256)}".`,
  ];
}

function notesOn(hostName: string, certificate: CertificateInfo): string[] {
  if (hostName === UNKNOWN_HOST) {
    return [
      'the configuration does not say at which address clients reach the relay; ' +
        'set hostname or publicIp (--hostname relay.example.com, --public-ip 203.0.113.7)',
    ];
  }
  const notes: string[] = [];
  if (isPinned(certificate) && (certificate.behindLeaf ?? 0) > 0) {
    notes.push(
      'clients with a pin accept exactly one certificate, but the file has more after the self-signed one; remove the others',
    );
  }
  if (/^(?:127\.|::1$|localhost$)/.test(hostName)) {
    notes.push(`${hostName} is this machine itself; clients on other machines cannot reach the relay with this map`);
  }
  // With an IP address, clients send no server name, and check only the pin if there is one (§8.3).
  if ((ipFamily(hostName) === 0 || !isPinned(certificate)) && !isNamed(certificate, hostName)) {
    notes.push(
      `clients ask for ${hostName}, but the certificate is for ${certificate.names.join(', ') || 'no name'} and they will refuse it; ` +
        'set hostname in the configuration of the relay, start it again, and run this again',
    );
  }
  return notes;
}

/** Returns a note about a certificate that is not valid by the clock of this machine, or null. */
export function validityNote({ notBefore, notAfter }: CertificateInfo, now: number): string | null {
  const which = now < notBefore.getTime() ? 'before' : now >= notAfter.getTime() ? 'after' : null;
  if (which === null) return null;
  return (
    `the certificate is valid from ${notBefore.toISOString()} to ${notAfter.toISOString()}, ` +
    `and this machine's clock is ${which} that: clients refuse it. If the clock is wrong, correct it`
  );
}

function isNamed({ names }: CertificateInfo, host: string): boolean {
  const wanted = host.toLowerCase().replace(/\.$/, '');
  return names.includes(wanted) || names.includes(wanted.replace(/^[^.]+/, '*'));
}
