import { lookup } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import { errorMessage } from '../../base/errors.ts';
import { canonicalIp, ipFamily, isLoopback } from '../../base/ip-address.ts';
import { PrefixSet } from '../../base/ip-prefix.ts';
import type { SocketAddress } from '../../wire/relay-endpoint.ts';
import type { ReachedAddress } from './reached-address.ts';

/** Most addresses. Clients try all at once, so a longer list only costs packets (peer relay reference §8). */
const MOST_ADDRESSES = 8;
/**
 * Addresses that clients cannot reach, or only inside the tunnel, and those that are not the address of one machine.
 */
const NOT_FOR_CLIENTS = new PrefixSet([
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '100.64.0.0/10',
  '224.0.0.0/3',
  '::/127',
  'ff00::/8',
  'fe80::/10',
  'fd7a:115c:a1e0::/48',
]);

/** Sources of addresses, in the order in which clients get them. */
const SOURCES = ['configured', 'port mapping', 'STUN', 'interfaces'] as const;
export type AddressSourceName = (typeof SOURCES)[number];

/** The last result of one source; plain data. */
export interface AddressSource {
  readonly name: AddressSourceName;
  readonly addresses: readonly SocketAddress[];
  /** By which protocol a port mapping was made; null: none, or another source. */
  readonly how: string | null;
  /** Milliseconds since 1970 of its latest whole round; null: none yet. */
  readonly foundAt: number | null;
  /** Why its latest round failed, or null. After a failure, the addresses are those of an earlier round. */
  readonly problem: string | null;
}

export interface AdvertisedParts {
  /** IPs and DNS names that are configured, in their order. */
  readonly configured: readonly string[];
  /** True: only the configured addresses are used. */
  readonly only: boolean;
  /** The ports, in the order in which clients get them. */
  readonly ports: () => readonly number[];
  /** The addresses of this machine. */
  readonly interfaces?: () => readonly string[];
  /** All addresses of a DNS name; rejects when it has none. */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
  /** Called with a name that cannot be resolved, and the error: once, until the reason changes. */
  readonly onProblem: (name: string, error: unknown) => void;
}

interface Found {
  how: string | null;
  /** Addresses grouped by IP address, in the order of the ports. */
  groups: readonly (readonly ReachedAddress[])[];
  foundAt: number | null;
  problem: string | null;
}

/**
 * The addresses for clients (peer relay reference §8): the configured ones, those of a port mapping, those that STUN
 * servers see, and those of this machine. When a round of a source fails, its last result stays.
 */
export class AdvertisedAddresses {
  readonly #parts: AdvertisedParts;
  /** The last result of each configured entry. */
  readonly #resolved = new Map<string, readonly string[]>();
  /** Why entries cannot be resolved now. */
  readonly #unresolved = new Map<string, string>();
  readonly #found: Readonly<Record<AddressSourceName, Found>>;
  #ips: { readonly configured: readonly string[]; readonly interfaces: readonly string[] } = {
    configured: [],
    interfaces: [],
  };

  constructor(parts: AdvertisedParts) {
    this.#parts = parts;
    const nothing = (): Found => ({ groups: [], how: null, foundAt: null, problem: null });
    this.#found = { configured: nothing(), 'port mapping': nothing(), STUN: nothing(), interfaces: nothing() };
  }

  /**
   * All addresses with the first port, then all with the second, and so on: at most 8. When there are more, the better
   * source wins, and each port is there before another address is.
   */
  get addresses(): readonly SocketAddress[] {
    const ports = this.#parts.ports();
    const chosen = new Map<string, ReachedAddress>();
    for (const group of SOURCES.flatMap((name) => this.#groupsOf(name))) {
      for (const address of group) {
        const name = `${canonicalIp(address.ip)} ${address.port}`;
        if (chosen.size < MOST_ADDRESSES && !chosen.has(name)) chosen.set(name, address);
      }
    }
    const rank = ({ localPort }: ReachedAddress): number => ports.indexOf(localPort);
    return [...chosen.values()]
      .sort((a, b) => rank(a) - rank(b))
      .map(({ ip, port }) => ({ ip: canonicalIp(ip), port }));
  }

  /** What each source found, and when. */
  get sources(): readonly AddressSource[] {
    return SOURCES.map((name) => ({
      name,
      addresses: this.#groupsOf(name)
        .flat()
        .map(({ ip, port }) => ({ ip, port })),
      how: this.#found[name].how,
      foundAt: this.#found[name].foundAt,
      problem: this.#found[name].problem,
    }));
  }

  /** Milliseconds since 1970 of the last round in which every name had an address; null: none yet. */
  get foundAt(): number | null {
    return this.#found.configured.foundAt;
  }

  /** Whether the latest look-up found addresses for every name. */
  get hasNames(): boolean {
    return this.#found.configured.problem === null;
  }

  /** The addresses of this machine that clients may reach, as of the latest {@link readInterfaces}. */
  get machineIps(): readonly string[] {
    return this.#ips.interfaces;
  }

  /** Resolves the names once; never rejects. */
  async resolveNames(now: number = Date.now()): Promise<void> {
    const { configured } = this.#parts;
    const problems = await Promise.all(configured.map((entry) => this.#resolve(entry)));
    const problem = problems.find((one) => one !== null) ?? null;
    this.#ips = { ...this.#ips, configured: configured.flatMap((entry) => this.#resolved.get(entry) ?? []) };
    this.#found.configured.problem = problem;
    if (problem === null) this.#found.configured.foundAt = now;
  }

  /**
   * Reads the addresses of this machine. While it has none, as with a link that is down, the last ones stay. Returns
   * whether they have changed; never throws.
   */
  readInterfaces(now: number = Date.now()): boolean {
    const { only, interfaces = machineIps } = this.#parts;
    if (only) return false;
    const source = this.#found.interfaces;
    let ips: readonly string[];
    try {
      ips = interfaces().filter((ip) => !NOT_FOR_CLIENTS.has(ip));
    } catch (error) {
      // As in a sandbox without AF_NETLINK sockets.
      source.problem = `the addresses of this machine cannot be listed: ${errorMessage(error)}`;
      return false;
    }
    source.problem = ips.length === 0 ? 'this machine has no address that clients can reach' : null;
    if (ips.length === 0) return false;
    const hasChanged = ips.join() !== this.#ips.interfaces.join();
    this.#ips = { ...this.#ips, interfaces: ips };
    source.foundAt = now;
    return hasChanged;
  }

  /** Records the result of a round of STUN or port mapping, with its protocol, or why it failed. */
  setFound(
    name: 'port mapping' | 'STUN',
    found: readonly ReachedAddress[] | Error,
    how: string | null = null,
    now: number = Date.now(),
  ): void {
    const source = this.#found[name];
    if (found instanceof Error) {
      source.problem = errorMessage(found);
      return;
    }
    const ports = this.#parts.ports();
    // A router without a connection reports 0.0.0.0, and a hostile STUN server any address.
    const usable = found.filter(({ ip, port }) => port > 0 && ipFamily(ip) !== 0 && !NOT_FOR_CLIENTS.has(ip));
    const ips = [...new Set(usable.map(({ ip }) => ip))];
    source.groups = ips.map((ip) =>
      ports.flatMap((port) => usable.filter((address) => address.ip === ip && address.localPort === port)),
    );
    source.how = how;
    source.foundAt = now;
    source.problem = null;
  }

  #groupsOf(name: AddressSourceName): readonly (readonly ReachedAddress[])[] {
    if (name !== 'configured' && name !== 'interfaces') return this.#found[name].groups;
    const ports = this.#parts.ports();
    return this.#ips[name].map((ip) => ports.map((port) => ({ localPort: port, ip, port })));
  }

  /** Returns why an entry could not be resolved, or null. */
  async #resolve(entry: string): Promise<string | null> {
    const { resolve = resolveName, onProblem } = this.#parts;
    if (ipFamily(entry) !== 0) {
      this.#resolved.set(entry, [entry]);
      return null;
    }
    try {
      const found = await resolve(entry);
      const usable = found.filter((ip) => ipFamily(ip) !== 0 && !isLoopback(ip));
      // Debian enters the name of the machine as 127.0.1.1 into /etc/hosts.
      if (usable.length === 0) throw new Error(`clients cannot reach ${found.join(', ') || 'no address'}`);
      this.#resolved.set(entry, usable);
      this.#unresolved.delete(entry);
      return null;
    } catch (error) {
      const problem = `${entry} cannot be resolved: ${errorMessage(error)}`;
      if (this.#unresolved.get(entry) !== problem) onProblem(entry, error);
      this.#unresolved.set(entry, problem);
      return problem;
    }
  }
}

/** Returns all addresses of a DNS name, in the order of the resolver. Rejects when it has none. */
export async function resolveName(name: string): Promise<readonly string[]> {
  const found = await lookup(name, { all: true, order: 'verbatim' });
  return found.map(({ address }) => address);
}

/**
 * Returns the addresses of this machine, IPv4 first. Of IPv6 it returns at most two public ones, because privacy
 * addresses change.
 */
function machineIps(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  const of = (family: string): string[] =>
    all.filter((entry) => entry.family === family && !entry.internal).map(({ address }) => address);
  return [
    ...of('IPv4'),
    ...of('IPv6')
      .filter((ip) => !NOT_FOR_CLIENTS.has(ip))
      .slice(0, 2),
  ];
}
