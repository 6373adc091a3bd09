import type { EndpointSnapshot, SideSnapshot } from '../../relay/udp/snapshot.ts';
import type { AllocationOutcome } from '../../tailnet/allocation-outcome.ts';
import { hasExpired, type NetmapPeer } from '../../tailnet/netmap.ts';
import { LEAST_CAPABILITY_VERSION, type NodeProblem } from '../../tailnet/node-readiness.ts';
import type { GrantJudgement } from '../../tailnet/packet-filter.ts';

/** Both clients send something every 3 s while they use an endpoint. */
const IN_USE_MS = 30_000;
/** Names the guide for conditions that only the client can see. */
const ON_THE_CLIENT = 'What only the client can see is in docs/peer-relay.md, "Why is it not used?".';

/** A condition for the use of the relay (addendum §3), as far as the relay can see it. The codes are stable. */
export interface UseCondition {
  readonly code:
    | NodeProblem['code']
    | 'relay_ready'
    | 'in_network_map'
    | 'key_valid'
    | 'client_version'
    | 'grant'
    | 'home_region'
    | 'online'
    | 'connected'
    | 'asked'
    | 'endpoint'
    | 'bind_arrived'
    | 'bound'
    | 'data';
  /** What it is about: `relay`, or the name of a node. */
  readonly about: string;
  readonly status: 'met' | 'unmet' | 'unknown';
  /** A sentence on what was found. */
  readonly text: string;
  /** What to do; null when there is nothing to do. */
  readonly hint: string | null;
}

/** Facts that the relay knows about one of the two nodes. Times are ages in milliseconds. */
export interface NodeUseFacts {
  readonly peer: NetmapPeer;
  /** Its name in the table of endpoints. */
  readonly tableName: string;
  readonly grant: GrantJudgement;
  readonly lastRequest: { readonly outcome: AllocationOutcome; readonly agoMs: number } | null;
  /** Whether it has a DERP connection to this relay. */
  readonly isConnected: boolean;
}

/** Hints for requests that got no endpoint. */
const REQUEST_HINTS: Readonly<Partial<Record<AllocationOutcome, string>>> = {
  no_grant: 'Grant the node tailscale.com/cap/relay towards the relay in the policy.',
  other_family_grant: 'Write the grant with names, tags or IPv4 addresses.',
  no_address: 'Configure peerRelay.advertise.addresses.',
  over_quota:
    'The node, or the one it asked for, has used up the bytes of its tier: raise them in fairness.tiers, or wait for the next day or month.',
  denied: 'An operator or a deny list denies the node, or the one it asked for: see towpath status.',
  expired: 'Log the other node in again: tailscale up --force-reauth.',
  disabled: 'Remove the attribute disable-relay-server from the policy.',
  bad_box: 'The node has an old disco key of the relay: wait a minute, or restart Tailscale on it.',
  request_rate: 'The node asks more often than clients do; look at its log.',
  node_limit: 'Raise peerRelay.limits.endpointsPerNode.',
  pair_limit: 'Raise peerRelay.limits.endpointsPerPair.',
  endpoint_limit: 'Raise peerRelay.limits.endpoints.',
  allocation_rate: 'Raise peerRelay.limits.allocationsPerMinute.',
};

/** Returns the conditions of the relay itself: one that is met, or every problem. */
export function relayConditions(problems: readonly NodeProblem[]): UseCondition[] {
  if (problems.length === 0) {
    return [{ code: 'relay_ready', about: 'relay', status: 'met', text: 'the relay is ready', hint: null }];
  }
  return problems.map(({ code, problem, hint }) => ({ code, about: 'relay', status: 'unmet', text: problem, hint }));
}

/**
 * Returns the conditions of a node. `partner` is the other node of the pair, when one was named: one of the two must be
 * able to ask. `ownVersion` is the capability version of the relay, which Headscale sends instead of each node's own.
 */
export function nodeConditions(node: NodeUseFacts, partner: NodeUseFacts | null, ownVersion: number): UseCondition[] {
  const { peer } = node;
  const about = peer.name;
  const where = peer.addresses.length === 0 ? '' : ` as ${peer.addresses.join(' ')}`;
  return [
    { code: 'in_network_map', about, status: 'met', text: `it is in the network map${where}`, hint: null },
    hasExpired(peer, Date.now())
      ? unmet('key_valid', about, 'its node key has expired', 'Log the node in again: tailscale up --force-reauth.')
      : met('key_valid', about, 'its node key is valid'),
    versionCondition(peer, ownVersion),
    grantCondition(node, partner),
    peer.homeRegion === 0
      ? unmet(
          'home_region',
          about,
          'it has no home region: it reaches no DERP server',
          'Check the network of the node: tailscale netcheck.',
        )
      : met('home_region', about, `its home region is ${peer.homeRegion}`),
    onlineCondition(peer),
    node.isConnected
      ? met('connected', about, 'it has a DERP connection to this relay')
      : unknown(
          'connected',
          about,
          'it has no DERP connection to this relay now; a client opens one to ask',
          'If it never does, look at the region in its DERP map (tailscale debug derp-map), and run towpath doctor with --key.',
        ),
    askedCondition(node, partner),
  ];
}

/**
 * Returns the conditions of one endpoint. `names` returns the name of a node for its name in the table of endpoints.
 */
export function endpointConditions(endpoint: EndpointSnapshot, names: (tableName: string) => string): UseCondition[] {
  const asker = endpoint.asker === null ? 'an unknown node' : names(endpoint.asker);
  const text = `endpoint ${endpoint.vni}: ${endpoint.state}, ${asker} asked for it ${ago(endpoint.ageMs)}`;
  return [
    met('endpoint', asker, text),
    ...endpoint.sides.flatMap((side) =>
      sideConditions(side, side.node === null ? `the node with disco key ${side.disco}` : names(side.node)),
    ),
  ];
}

/** Returns the condition that there is no endpoint at present. */
export function noEndpoint(about: string, wasGranted: boolean): UseCondition {
  const text = wasGranted
    ? 'there is no endpoint any more: it was not bound in time, it was idle, a grant or a node was removed, or the relay was restarted'
    : 'there is no endpoint';
  return unmet(
    'endpoint',
    about,
    text,
    `Run "tailscale ping" from one node to the other, and look again within 30 s. ${ON_THE_CLIENT}`,
  );
}

/** Returns whether both clients have sent something through an endpoint in the last {@link IN_USE_MS}. */
export function isInUse({ state, sides }: EndpointSnapshot): boolean {
  return state === 'open' && sides.every(({ seenAgoMs }) => seenAgoMs !== null && seenAgoMs < IN_USE_MS);
}

function versionCondition({ name, capabilityVersion }: NetmapPeer, ownVersion: number): UseCondition {
  const hint = 'Update Tailscale on it to 1.86 or newer.';
  if (capabilityVersion !== 0 && capabilityVersion < LEAST_CAPABILITY_VERSION)
    return unmet('client_version', name, `its capability version is ${capabilityVersion}: it is older than 1.86`, hint);
  if (capabilityVersion === 0 || capabilityVersion === ownVersion) {
    const text = 'the control server does not send its version';
    return unknown('client_version', name, text, 'Run "tailscale version" on it: 1.86 or newer is needed.');
  }
  return met('client_version', name, `its capability version is ${capabilityVersion}`);
}

function grantCondition({ peer, grant }: NodeUseFacts, partner: NodeUseFacts | null): UseCondition {
  const { name } = peer;
  if (grant === 'granted') return met('grant', name, 'the policy lets it use the relay');
  // One of the two asks, for both.
  if (partner?.grant === 'granted')
    return met('grant', name, `the policy does not let it use the relay, but lets ${partner.peer.name} ask for both`);
  if (grant === 'other-family-only') {
    const text = 'the policy lets it use the relay only by IPv6 addresses, and clients look at IPv4';
    return unmet('grant', name, text, REQUEST_HINTS.other_family_grant!);
  }
  return unmet('grant', name, 'the policy does not let it use the relay', REQUEST_HINTS.no_grant!);
}

function onlineCondition({ name, isOnline }: NetmapPeer): UseCondition {
  if (isOnline === null) return unknown('online', name, 'the control server does not say whether it is online', null);
  if (isOnline) return met('online', name, 'the control server says that it is online');
  return unmet('online', name, 'the control server says that it is offline', 'Start Tailscale on it.');
}

function askedCondition({ peer, lastRequest }: NodeUseFacts, partner: NodeUseFacts | null): UseCondition {
  const { name } = peer;
  if (lastRequest === null) {
    if (partner?.lastRequest?.outcome === 'granted')
      return met('asked', name, `it has not asked for an endpoint, but ${partner.peer.name} has`);
    const hint = `A client asks when it sends to a node without a direct path. ${ON_THE_CLIENT}`;
    return unmet('asked', name, 'it has not asked for an endpoint since the relay started', hint);
  }
  const { outcome, agoMs } = lastRequest;
  if (outcome === 'granted') return met('asked', name, `it asked ${ago(agoMs)} and got an endpoint`);
  const hint = REQUEST_HINTS[outcome] ?? 'The log of the relay has more about it.';
  return unmet('asked', name, `it asked ${ago(agoMs)} and got no endpoint: ${outcome}`, hint);
}

function sideConditions(side: SideSnapshot, about: string): UseCondition[] {
  const { bindAgoMs, boundAgoMs, seenAgoMs, address, localPort, packets, bytes } = side;
  if (bindAgoMs === null && boundAgoMs === null) {
    const hint =
      'Open the UDP ports of peerRelay.ports on the way from this node, and check the addresses that clients are told (towpath relay status). A node also needs a DERP connection to hear of the endpoint from the other one.';
    return [unmet('bind_arrived', about, 'no bind of it arrived', hint)];
  }
  const arrived = met('bind_arrived', about, `its latest bind arrived ${ago(bindAgoMs ?? boundAgoMs!)}`);
  if (address === '' || boundAgoMs === null) {
    const hint =
      'The challenges do not reach it, or its answers do not come back: check routing and firewalls on the way from the relay to the node.';
    return [arrived, unmet('bound', about, 'its answer to the challenge did not come back', hint)];
  }
  const bound = met('bound', about, `it is bound from ${address} on port ${localPort}, ${ago(boundAgoMs)}`);
  if (seenAgoMs === null) {
    const hint = 'The other node is not bound yet, or the client has found a better path.';
    return [arrived, bound, unknown('data', about, 'it has sent nothing through the endpoint', hint)];
  }
  const amount = `${packets} packets and ${bytes} bytes in all`;
  const text = `it last sent ${ago(seenAgoMs)}, ${amount}`;
  if (seenAgoMs < IN_USE_MS) return [arrived, bound, met('data', about, text)];
  const hint = 'A client that has nothing to send, or has found a direct path, is silent.';
  return [arrived, bound, unknown('data', about, text, hint)];
}

function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min ago` : `${Math.round(minutes / 60)} h ago`;
}

function met(code: UseCondition['code'], about: string, text: string): UseCondition {
  return { code, about, status: 'met', text, hint: null };
}

function unmet(code: UseCondition['code'], about: string, text: string, hint: string): UseCondition {
  return { code, about, status: 'unmet', text, hint };
}

function unknown(code: UseCondition['code'], about: string, text: string, hint: string | null): UseCondition {
  return { code, about, status: 'unknown', text, hint };
}
