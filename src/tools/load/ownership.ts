import { lookup } from 'node:dns/promises';
import { parseRelayUrl } from '../../client/relay-url.ts';
import { errorMessage, TowpathError } from '../../base/errors.ts';
import { ipFamily, isLoopback } from '../../base/ip-address.ts';
import type { LoadTarget } from './plan.ts';

/** Refuses, by a usage error, a relay with an address that is not of this machine. */
export async function refuseForeign(target: LoadTarget): Promise<void> {
  const { host } = parseRelayUrl(target.url);
  const addresses = target.ip === null ? await addressesOf(host) : [target.ip];
  const foreign = addresses.find((ip) => !isLoopback(ip));
  if (foreign === undefined) return;
  const where = foreign === host ? host : `${host} (${foreign})`;
  throw new TowpathError(
    'TOWPATH_USAGE',
    `${where} is not this machine, and a load is an attack on a relay of others`,
    {
      hint: 'If the relay is yours, and so is the network on the way, say so with --i-own-this-server.',
    },
  );
}

async function addressesOf(host: string): Promise<string[]> {
  if (ipFamily(host) !== 0) return [host];
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (error) {
    throw new TowpathError('TOWPATH_CONNECT_DNS', `${host} has no address: ${errorMessage(error)}`, {
      hint: 'Check the name, and the DNS of this machine.',
    });
  }
}
