import { DEFAULT_DERP_PORT, DEFAULT_STUN_PORT, type DerpMap, type DerpNode } from './derp-map.ts';
import { ipFamily } from '../base/ip-address.ts';
import { formatPin } from '../wire/pin.ts';

/** What a DERP map says about this relay. */
export interface DerpMapSettings {
  readonly region: { readonly id: number; readonly code: string; readonly name: string; readonly nodeName: string };
  /** DNS name or IP under which clients reach the relay. */
  readonly hostName: string;
  /** Empty: clients ask the DNS. */
  readonly ipv4: string;
  readonly ipv6: string;
  readonly derpPort: number;
  /** −1: no STUN. */
  readonly stunPort: number;
  /** Whether the captive-portal check on port 80 is answered. */
  readonly answersPort80: boolean;
  /** Lowercase hex; null: clients verify by authorities. */
  readonly pin: string | null;
  readonly omitDefaultRegions: boolean;
}

/** Returns the DERP map with this relay as its only region. */
export function derpMapFor(settings: DerpMapSettings): DerpMap {
  const { region } = settings;
  const mapped = { RegionID: region.id, RegionCode: region.code, RegionName: region.name, Nodes: [nodeFor(settings)] };
  return {
    ...(settings.omitDefaultRegions ? { omitDefaultRegions: true } : {}),
    Regions: { [region.id]: mapped },
  };
}

function nodeFor(settings: DerpMapSettings): DerpNode {
  const { derpPort, hostName, pin, region, stunPort } = settings;
  const [ipv4, ipv6] = [addressOrNone(settings, 4), addressOrNone(settings, 6)];
  return {
    Name: region.nodeName,
    RegionID: region.id,
    HostName: hostName,
    ...(pin === null ? {} : { CertName: formatPin(pin) }),
    ...(ipv4 === '' ? {} : { IPv4: ipv4 }),
    ...(ipv6 === '' ? {} : { IPv6: ipv6 }),
    ...(derpPort === DEFAULT_DERP_PORT ? {} : { DERPPort: derpPort }),
    ...(stunPort === DEFAULT_STUN_PORT ? {} : { STUNPort: stunPort }),
    // Clients check port 80 only of a node with an IPv4 address in the map.
    ...(settings.answersPort80 && ipFamily(ipv4) === 4 ? { CanPort80: true } : {}),
  };
}

/**
 * Returns the address of a family. When the host name is an IP address of the other family, it is `none`, so that
 * clients make no useless DNS query.
 */
function addressOrNone(settings: DerpMapSettings, family: 4 | 6): string {
  const given = family === 4 ? settings.ipv4 : settings.ipv6;
  if (given !== '') return given;
  const hostFamily = ipFamily(settings.hostName);
  if (hostFamily === 0) return '';
  return hostFamily === family ? settings.hostName : 'none';
}
