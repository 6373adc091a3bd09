import type { ServerVerification } from '../../transport/port.ts';
import { DEFAULT_DERP_PORT, DEFAULT_STUN_PORT, type DerpMap, type DerpNode } from '../../derp-map/derp-map.ts';
import { formatHostPort, ipFamily } from '../../base/ip-address.ts';
import { PIN_PREFIX } from '../../wire/pin.ts';
import { parseRelayUrl, serverNameFor } from '../../client/relay-url.ts';

const HTTP_PORT = 80;

/** The address of one family: a given IP, a name to look up (`dns`), or not used (`off`). */
export type FamilyAddress = { readonly kind: 'ip'; readonly ip: string } | { readonly kind: 'dns' | 'off' };

/** One relay to probe. */
export interface ProbeTarget {
  /** The name in reports: the node's name, or the URL's host. */
  readonly name: string;
  readonly host: string;
  readonly ipv4: FamilyAddress;
  readonly ipv6: FamilyAddress;
  /** Null for a node that serves STUN only. */
  readonly relay: { readonly url: string; readonly port: number; readonly secure: boolean } | null;
  readonly serverName: string;
  readonly verify: ServerVerification;
  /** Name of the region's first node when this is another one, else empty. */
  readonly idealNode: string;
  /** Null: no STUN. */
  readonly stunPort: number | null;
  /** Port for the request of `/generate_204`; null: it is not requested. */
  readonly httpPort: number | null;
}

/** Settings of the caller, which replace those of the URL or the map. */
export interface TargetOverrides {
  readonly verify?: ServerVerification;
  readonly caPem?: string;
  /** Negative: no STUN. */
  readonly stunPort?: number;
  readonly httpPort?: number;
}

/** The relay at a URL. */
export function targetOfUrl(text: string, overrides: TargetOverrides): ProbeTarget {
  const { host, port, secure, path, hostHeader } = parseRelayUrl(text);
  const family = ipFamily(host);
  const at = (wanted: 4 | 6): FamilyAddress =>
    family === 0 ? { kind: 'dns' } : family === wanted ? { kind: 'ip', ip: host } : { kind: 'off' };
  return {
    name: formatHostPort(host, port),
    host,
    ipv4: at(4),
    ipv6: at(6),
    relay: { url: `${secure ? 'https' : 'http'}://${hostHeader}${path}`, port, secure },
    serverName: serverNameFor(host),
    verify: overrides.verify ?? authority(serverNameFor(host), overrides),
    idealNode: '',
    stunPort: stunPort(overrides.stunPort ?? DEFAULT_STUN_PORT),
    httpPort: overrides.httpPort ?? null,
  };
}

/** All relays of a map, or those of one region, given by its id or code. */
export function targetsOfMap(map: DerpMap, region: string | null, overrides: TargetOverrides): ProbeTarget[] {
  return Object.values(map.Regions)
    .filter(({ RegionID, RegionCode }) => region === null || region === String(RegionID) || region === RegionCode)
    .flatMap(({ Nodes }) => {
      const first = Nodes.find(({ STUNOnly }) => STUNOnly !== true);
      return Nodes.map((node) => targetOfNode(node, first, overrides));
    });
}

function targetOfNode(node: DerpNode, first: DerpNode | undefined, overrides: TargetOverrides): ProbeTarget {
  const host = node.HostName;
  const port = node.DERPPort === undefined || node.DERPPort === 0 ? DEFAULT_DERP_PORT : node.DERPPort;
  const mapStunPort = node.STUNPort === undefined || node.STUNPort === 0 ? DEFAULT_STUN_PORT : node.STUNPort;
  const urlHost = formatHostPort(host, port).replace(/:443$/, '');
  return {
    name: node.Name,
    host,
    ipv4: familyAddress(node.IPv4, 4, host),
    ipv6: familyAddress(node.IPv6, 6, host),
    relay: node.STUNOnly === true ? null : { url: `https://${urlHost}/derp`, port, secure: true },
    serverName: serverNameFor(host),
    verify: overrides.verify ?? verificationOf(node, overrides),
    idealNode: first === undefined || first === node ? '' : first.Name,
    stunPort: stunPort(overrides.stunPort ?? mapStunPort),
    httpPort: overrides.httpPort ?? (node.CanPort80 === true ? HTTP_PORT : null),
  };
}

/** As clients read the field (§8.1): empty means DNS, an address of the family means itself, all else "not this family". */
function familyAddress(text: string | undefined, family: 4 | 6, host: string): FamilyAddress {
  const hostFamily = ipFamily(host);
  if (text === undefined || text === '') {
    if (hostFamily === 0) return { kind: 'dns' };
    return hostFamily === family ? { kind: 'ip', ip: host } : { kind: 'off' };
  }
  return ipFamily(text) === family ? { kind: 'ip', ip: text } : { kind: 'off' };
}

/**
 * Verifies as the official client's `tlsClient` and `tlsdial`: without a name, a connection to an IP checks no name
 * (§8.3).
 */
function verificationOf(node: DerpNode, overrides: TargetOverrides): ServerVerification {
  const { CertName = '', HostName } = node;
  // Clients compare the text exactly, so a pin in upper case or of another length never matches.
  if (CertName.startsWith(PIN_PREFIX)) return { kind: 'pin', sha256: CertName.slice(PIN_PREFIX.length) };
  const hasOtherName = CertName !== '' && CertName !== HostName;
  if (hasOtherName) return authority(CertName, overrides);
  return node.InsecureForTests === true ? { kind: 'none' } : authority(serverNameFor(HostName), overrides);
}

function authority(name: string, { caPem }: TargetOverrides): ServerVerification {
  return { kind: 'ca', name, ...(caPem === undefined ? {} : { caPem }) };
}

function stunPort(port: number): number | null {
  return port > 0 ? port : null;
}
