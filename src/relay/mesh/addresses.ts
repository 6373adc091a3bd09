import { lookup, resolveSrv } from 'node:dns/promises';
import { errorMessage } from '../../base/errors.ts';
import { formatHostPort, ipFamily } from '../../base/ip-address.ts';
import { serverNameFor } from '../../client/relay-url.ts';
import type { ServerVerification } from '../../transport/port.ts';

const HTTPS_PORT = 443;
const HTTP_PORT = 80;
/** Most addresses of one entry that are used. A name with more is a mistake, or a wrong answer. */
export const MOST_ADDRESSES = 64;

/** One entry of `mesh.with`, as plain data. */
export interface SiblingSettings {
  /** The entry as it was written. */
  readonly name: string;
  /** An IP, a DNS name, or the name of an SRV record, which begins with an underscore. */
  readonly host: string;
  /** Null: the default port, or that of the SRV record. */
  readonly port: number | null;
  readonly isSecure: boolean;
  /** SHA-256 of the certificate in lowercase hex; null: the certificate is verified by an authority. */
  readonly pin: string | null;
}

/** One address of another relay. */
export interface Target {
  /** The entry of `mesh.with` that it comes from. */
  readonly name: string;
  /** IP and port. */
  readonly address: string;
  readonly url: string;
  readonly ip: string;
  /** SNI; empty for an IP. */
  readonly serverName: string;
  readonly verify: ServerVerification;
}

/** Looks names up. */
export interface Resolver {
  /** All addresses of a host name. Rejects when there is none. */
  addresses(host: string): Promise<readonly string[]>;
  /** Hosts and ports of an SRV record. Rejects when there is none. */
  services(name: string): Promise<readonly { readonly host: string; readonly port: number }[]>;
}

/** The resolver of the system: host names with the system's own look-up, SRV records from its DNS servers. */
export const systemResolver: Resolver = {
  addresses: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
  services: async (name) => (await resolveSrv(name)).map(({ name: host, port }) => ({ host, port })),
};

/** The present addresses of an entry, as {@link findTargets} returns them. */
export interface FoundTargets {
  /** At most {@link MOST_ADDRESSES}. The order of the DNS answer does not change which ones these are. */
  readonly targets: readonly Target[];
  /** Why some addresses of the entry are not used, for the log; empty: all are used. */
  readonly unused: string;
}

/**
 * Looks up the present addresses of an entry. `caPem` has authorities in addition to the system's; null: none. Rejects
 * when no name is found.
 */
export async function findTargets(
  settings: SiblingSettings,
  caPem: string | null,
  resolver: Resolver,
): Promise<FoundTargets> {
  const { host, port, isSecure } = settings;
  const usualPort = port ?? (isSecure ? HTTPS_PORT : HTTP_PORT);
  const places = host.startsWith('_') ? await resolver.services(host) : [{ host, port: usualPort }];
  const used = first(places, (place) => formatHostPort(place.host, place.port));
  const answers = await Promise.allSettled(used.map((place) => addressesOf(place.host, resolver)));
  const targets = new Map<string, Target>();
  const problems: string[] = [];
  let count = places.length - used.length;
  for (const [index, answer] of answers.entries()) {
    if (answer.status === 'rejected') {
      problems.push(errorMessage(answer.reason));
      continue;
    }
    count += answer.value.length;
    for (const ip of first(answer.value, (text) => text)) {
      const target = targetAt(settings, { ...used[index]!, ip }, caPem);
      targets.set(target.address, target);
    }
  }
  if (targets.size === 0) throw new Error(problems[0] ?? 'it has no address');
  if (count > MOST_ADDRESSES) problems.push(`it has ${count} addresses, of which ${MOST_ADDRESSES} are used`);
  return { targets: first([...targets.values()], ({ address }) => address), unused: problems.join('; ') };
}

async function addressesOf(host: string, resolver: Resolver): Promise<readonly string[]> {
  return ipFamily(host) === 0 ? [...new Set(await resolver.addresses(host))] : [host];
}

/** Returns the first {@link MOST_ADDRESSES} in the order of a text. */
function first<T>(all: readonly T[], text: (one: T) => string): readonly T[] {
  if (all.length <= MOST_ADDRESSES) return all;
  return all.toSorted((a, b) => (text(a) < text(b) ? -1 : 1)).slice(0, MOST_ADDRESSES);
}

function targetAt(
  { name, isSecure, pin }: SiblingSettings,
  { host, port, ip }: { readonly host: string; readonly port: number; readonly ip: string },
  caPem: string | null,
): Target {
  const serverName = serverNameFor(host);
  const authority: ServerVerification = {
    kind: 'ca',
    name: serverName === '' ? host : serverName,
    ...(caPem === null ? {} : { caPem }),
  };
  return {
    name,
    address: formatHostPort(ip, port),
    url: `${isSecure ? 'https' : 'http'}://${formatHostPort(host, port)}/derp`,
    ip,
    serverName,
    verify: pin === null ? authority : { kind: 'pin', sha256: pin },
  };
}
