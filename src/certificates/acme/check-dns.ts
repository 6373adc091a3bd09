import { resolve4, resolve6 } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import { canonicalIp, ipFamily } from '../../base/ip-address.ts';

/** Describes names whose DNS addresses are not of this machine; null when all are right. */
export async function describeWrongDns(names: readonly string[], publicIps: readonly string[]): Promise<string | null> {
  const own = ownAddresses(publicIps);
  const remarks: string[] = [];
  for (const name of names) {
    if (ipFamily(name) !== 0) continue;
    const addresses = await addressesOf(name);
    const foreign = addresses.filter((address) => !own.includes(address));
    if (addresses.length === 0) remarks.push(`${name} has no address in DNS`);
    else if (foreign.length > 0) {
      remarks.push(`in DNS ${name} is ${addresses.join(' and ')}, while this machine has ${own.join(', ') || 'none'}`);
    }
  }
  return remarks.length === 0 ? null : remarks.join('; ');
}

async function addressesOf(name: string): Promise<string[]> {
  const answers = await Promise.allSettled([resolve4(name), resolve6(name)]);
  return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value.map(canonicalIp) : []));
}

function ownAddresses(publicIps: readonly string[]): string[] {
  if (publicIps.length > 0) return [...publicIps];
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return all.filter(({ internal, address }) => !internal && !address.startsWith('fe80:')).map(({ address }) => address);
}
