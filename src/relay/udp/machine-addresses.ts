import { networkInterfaces } from 'node:os';

/**
 * The whole of 127.0.0.0/8 belongs to a machine whose loopback has that network, and no list names its addresses. These
 * are the ones in use: the first sixteen, and the one of Debian's /etc/hosts.
 */
const LOOPBACK: readonly string[] = [...Array.from({ length: 16 }, (_, i) => `127.0.0.${i + 1}`), '127.0.1.1'];

/**
 * Returns the addresses of this machine, link-local ones with their zone. Throws when the system does not list them, as
 * in a sandbox without AF_NETLINK sockets.
 */
export function machineAddresses(withIpv6: boolean): Set<string> {
  const addresses = new Set<string>();
  for (const [name, entries] of Object.entries(networkInterfaces())) {
    for (const { address, family, netmask } of entries ?? []) {
      if (family === 'IPv4') addresses.add(address);
      else if (withIpv6) addresses.add(address.startsWith('fe80:') ? `${address}%${name}` : address);
      if (address.startsWith('127.') && netmask === '255.0.0.0') for (const other of LOOPBACK) addresses.add(other);
    }
  }
  return addresses;
}
