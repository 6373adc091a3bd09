import type { AllocationRefusal } from '../relay/udp/endpoints.ts';

/** The outcome of a packet that was sent to the node. Only the first two are ever answered. */
export type AllocationOutcome =
  | 'granted'
  | 'pong'
  /** It is not a disco message: a WireGuard handshake of a client that wants to reach the node itself. */
  | 'not_disco'
  /** The sender is not a node of the tailnet, or its key has expired. */
  | 'unknown_node'
  /** Another relay of the region forwarded it, and it is not sealed with the sender's disco key in the network map. */
  | 'unproved_key'
  | 'request_rate'
  | 'bad_box'
  | 'bad_message'
  /** The packet filter does not grant the sender `tailscale.com/cap/relay` on this node. */
  | 'no_grant'
  /** The grant covers only addresses that clients do not use. */
  | 'other_family_grant'
  /** The control server has switched the relay off by the attribute `disable-relay-server`. */
  | 'disabled'
  /** One of the two nodes has used up the bytes of its tier. Its traffic goes over DERP, within its limits. */
  | 'over_quota'
  /** An operator or a deny list denies one of the two nodes. */
  | 'denied'
  /** The node key of the other node has expired. */
  | 'expired'
  | 'no_address'
  | 'busy'
  | 'failed'
  | AllocationRefusal;

const ALL: Readonly<Record<AllocationOutcome, true>> = {
  granted: true,
  pong: true,
  not_disco: true,
  unknown_node: true,
  unproved_key: true,
  request_rate: true,
  bad_box: true,
  bad_message: true,
  no_grant: true,
  other_family_grant: true,
  disabled: true,
  over_quota: true,
  denied: true,
  expired: true,
  no_address: true,
  busy: true,
  failed: true,
  bad_key: true,
  foreign_key: true,
  allocation_rate: true,
  node_limit: true,
  pair_limit: true,
  endpoint_limit: true,
};

/** Count of each outcome. */
export type AllocationCounts = Record<AllocationOutcome, number>;

/** Returns counts of 0. */
export function createAllocationCounts(): AllocationCounts {
  return Object.fromEntries(Object.keys(ALL).map((name) => [name, 0])) as AllocationCounts;
}
