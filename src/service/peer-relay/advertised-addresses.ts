import { lookup } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import { canonicalIp, ipFamily, isLoopback } from '../../base/ip-address.ts';
import { PrefixSet } from '../../base/ip-prefix.ts';
import type { SocketAddress } from '../../wire/relay-endpoint.ts';

/** Clients try all at once, so that a longer list only costs them packets (peer relay reference §8). */
const MOST_ADDRESSES = 8;
/** How often names are resolved and interfaces are read again. */
export const REFRESH_MS = 60_000;
/** What clients cannot reach, or reach only inside the tunnel. */
const NOT_FOR_CLIENTS = new PrefixSet([
  '127.0.0.0/8',
  '169.254.0.0/16',
  '100.64.0.0/10',
  '::1',
  'fe80::/10',
  'fd7a:115c:a1e0::/48',
]);

export interface AdvertisedParts {
  /** IPs and DNS names that are configured, in their order. */
  readonly configured: readonly string[];
  /** Whether there are no others. */
  readonly only: boolean;
  /** The ports, in the order in which clients are told of them. */
  readonly ports: () => readonly number[];
  /** The addresses of this machine. */
  readonly interfaces?: () => readonly string[];
  /** All addresses of a DNS name; rejects when it has none. */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
  /** Told of a name that cannot be resolved. */
  readonly onProblem: (name: string, error: unknown) => void;
}

/**
 * The addresses that clients are told (peer relay reference §8): those configured, then those of this machine. When a round fails,
 * what was last found for a name stays.
 */
export class AdvertisedAddresses {
  readonly #parts: AdvertisedParts;
  /** By configured entry, what it last stood for. */
  readonly #resolved = new Map<string, readonly string[]>();
  #ips: readonly string[] = [];
  #foundAt: number | null = null;

  constructor(parts: AdvertisedParts) {
    this.#parts = parts;
  }

  /** All addresses with the first port, then all with the second, and so on: at most 8. */
  get addresses(): readonly SocketAddress[] {
    return this.#parts
      .ports()
      .flatMap((port) => this.#ips.map((ip) => ({ ip, port })))
      .slice(0, MOST_ADDRESSES);
  }

  /** Milliseconds since 1970 of the last round in which every name had an address; null: none yet. */
  get foundAt(): number | null {
    return this.#foundAt;
  }

  /** Looks for addresses once; never rejects. */
  async refresh(now: number = Date.now()): Promise<void> {
    const { configured, only, interfaces = machineIps } = this.#parts;
    const isWhole = await Promise.all(configured.map((entry) => this.#resolve(entry)));
    const ips = configured.flatMap((entry) => this.#resolved.get(entry) ?? []);
    const found = only ? [] : interfaces().filter((ip) => !NOT_FOR_CLIENTS.has(ip));
    this.#ips = [...new Set([...ips, ...found].map(canonicalIp))];
    if (!isWhole.includes(false)) this.#foundAt = now;
  }

  async #resolve(entry: string): Promise<boolean> {
    const { resolve = resolveName, onProblem } = this.#parts;
    if (ipFamily(entry) !== 0) {
      this.#resolved.set(entry, [entry]);
      return true;
    }
    try {
      const found = await resolve(entry);
      this.#resolved.set(
        entry,
        found.filter((ip) => ipFamily(ip) !== 0 && !isLoopback(ip)),
      );
      return true;
    } catch (error) {
      onProblem(entry, error);
      return false;
    }
  }
}

async function resolveName(name: string): Promise<readonly string[]> {
  const found = await lookup(name, { all: true, order: 'verbatim' });
  return found.map(({ address }) => address);
}

/** IPv4 first; of IPv6 those that anybody may have on the way, two at most, since privacy addresses change. */
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
