import { formatHostPort, ipFamily } from '../../base/ip-address.ts';
import type { ListenAddress } from './values.ts';

/** The addresses of one key of the configuration. */
export interface KeyAddresses<K extends string> {
  readonly key: K;
  readonly addresses: readonly ListenAddress[];
}

/** Two addresses of which the kernel opens only one. The second of them is in `key`. */
export interface Overlap<K extends string> {
  readonly key: K;
  /** Completes `found …; allowed: …`. */
  readonly text: string;
}

/**
 * Returns every address that overlaps an earlier one. The keys are of one protocol: TCP and UDP have separate ports.
 * Port 0 is another free port each time, so it never overlaps.
 */
export function overlaps<K extends string>(keys: readonly KeyAddresses<K>[]): Overlap<K>[] {
  const found: Overlap<K>[] = [];
  const before: { readonly key: K; readonly address: ListenAddress }[] = [];
  for (const { key, addresses } of keys) {
    for (const address of addresses) {
      const other = before.find((one) => doOverlap(one.address, address));
      if (other !== undefined) found.push({ key, text: textOf(other.key, other.address, key, address) });
      before.push({ key, address });
    }
  }
  return found;
}

function doOverlap(a: ListenAddress, b: ListenAddress): boolean {
  return a.port === b.port && a.port !== 0 && (a.ip === b.ip || includes(a.ip, b.ip) || includes(b.ip, a.ip));
}

/** Returns whether `ip` is a wildcard that also takes the connections to `other`. `::` takes those of both families. */
function includes(ip: string, other: string): boolean {
  return ip === '::' || (ip === '0.0.0.0' && ipFamily(other) === 4);
}

function textOf(otherKey: string, other: ListenAddress, key: string, address: ListenAddress): string {
  const [found, taken] = [formatHostPort(address.ip, address.port), formatHostPort(other.ip, other.port)];
  if (found === taken && key === otherKey) return `found ${found} twice; allowed: each address once`;
  if (found === taken) return `found ${found}; allowed: an address that ${otherKey} does not use`;
  const relation = includes(other.ip, address.ip)
    ? `that ${taken} of ${otherKey} does not include`
    : `that does not include ${taken} of ${otherKey}`;
  return `found ${found}; allowed: an address ${relation}`;
}
