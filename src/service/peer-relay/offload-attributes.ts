import type { Offload } from '../../relay/udp/offload.ts';

/**
 * What may be done with several datagrams at once: everything but what a tailnet has forbidden by an attribute of our
 * node (addendum §8). All tailnets share the ports, so that one of them is enough.
 */
export function offloadOf(attributes: readonly ReadonlySet<string>[]): Offload {
  const has = (name: string): boolean => attributes.some((names) => names.has(name));
  return {
    gro: !has('disable-udp-gro'),
    gso: !has('disable-udp-gso'),
    neverEqualTail: has('never-gso-equal-tail'),
  };
}
