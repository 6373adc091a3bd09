import type { AllocationRefusal } from '../relay/udp/endpoints.ts';

/** What became of a packet that somebody sent to the node. Nothing but the first two is ever answered. */
export type AllocationOutcome =
  | 'granted'
  | 'pong'
  /** It is no disco message: a WireGuard handshake of somebody who wants to talk to the node itself. */
  | 'not_disco'
  /** The sender is no node of the tailnet, or one whose key has expired. */
  | 'unknown_node'
  /** Another relay of the region has forwarded it, and it is not sealed with the disco key that the map has of the sender. */
  | 'unproved_key'
  | 'request_rate'
  | 'bad_box'
  | 'bad_message'
  /** The packet filter gives the sender no `tailscale.com/cap/relay` towards us. */
  | 'no_grant'
  /** It does so only for addresses that clients do not look at. */
  | 'other_family_grant'
  /** The control server has switched the relay off by the attribute `disable-relay-server`. */
  | 'disabled'
  /** The node has used up the bytes of its tier: its traffic goes by DERP, within its limits. */
  | 'over_quota'
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

/** How often each outcome was there. */
export type AllocationCounts = Record<AllocationOutcome, number>;

/** All zero. */
export function createAllocationCounts(): AllocationCounts {
  return Object.fromEntries(Object.keys(ALL).map((name) => [name, 0])) as AllocationCounts;
}
