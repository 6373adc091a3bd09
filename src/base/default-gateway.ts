import { networkInterfaces } from 'node:os';
import { readSystemFile } from './proc-file.ts';

/** Flag of a route that goes through a gateway. */
const RTF_GATEWAY = 2;

/** The router through which this machine reaches the Internet. */
export interface Gateway {
  /** IPv4. */
  readonly ip: string;
  /** The IPv4 address of this machine in the network of the router. */
  readonly localIp: string;
}

/** A default route in the text of `/proc/net/route`, the one with the lowest metric; null when there is none. */
export function defaultRouteIn(table: string): { readonly device: string; readonly gateway: string } | null {
  const routes = table
    .split('\n')
    .slice(1)
    .map((row) => row.trim().split(/\s+/))
    .filter(([, to, , flags, , , , mask]) => to === '00000000' && mask === '00000000' && isGateway(flags))
    .sort((a, b) => Number(a[6]) - Number(b[6]));
  const [device, , gateway] = routes[0] ?? [];
  if (device === undefined || gateway === undefined || !/^[0-9A-F]{8}$/i.test(gateway)) return null;
  // The kernel writes the number in the order of this machine: little-endian where towpath runs.
  return { device, gateway: [...Buffer.from(gateway, 'hex').reverse()].join('.') };
}

/** Returns the default gateway of IPv4; null when there is none, or the system is not Linux. */
export function defaultGateway(): Gateway | null {
  const route = defaultRouteIn(readSystemFile('/proc/net/route') ?? '');
  if (route === null) return null;
  const own = networkInterfaces()[route.device]?.find(({ family }) => family === 'IPv4');
  return own === undefined ? null : { ip: route.gateway, localIp: own.address };
}

function isGateway(flags: string | undefined): boolean {
  return (Number.parseInt(flags ?? '0', 16) & RTF_GATEWAY) !== 0;
}
