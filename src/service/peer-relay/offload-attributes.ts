import type { Offload } from '../../relay/udp/offload.ts';

/**
 * Returns what may be done with several datagrams at once: everything that no tailnet has forbidden by an attribute of
 * our node (addendum §8). All tailnets share the ports, so one tailnet decides for all.
 */
export function offloadOf(attributes: readonly ReadonlySet<string>[]): Offload {
  const has = (name: string): boolean => attributes.some((names) => names.has(name));
  return {
    gro: !has('disable-udp-gro'),
    gso: !has('disable-udp-gso'),
    neverEqualTail: has('never-gso-equal-tail'),
  };
}
