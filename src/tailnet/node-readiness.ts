import { formatNodeKey } from '../wire/keys.ts';
import { hasExpired } from './netmap.ts';
import { NodePhase, type TailnetNode } from './node.ts';

/** Clients ignore relays with a lower capability version (peer-relay reference §10.2). */
export const LEAST_CAPABILITY_VERSION = 121;
const DAY_MS = 86_400_000;

/** Codes of the reasons why a tailnet cannot use the peer relay. They are stable. */
type NodeProblemCode =
  | 'control_unreachable'
  | 'registration_refused'
  | 'auth_key_missing'
  | 'login_needed'
  | 'approval_pending'
  | 'key_expired'
  | 'key_in_use'
  | 'tailnet_lock'
  | 'capability_version'
  | 'relay_disabled'
  | 'region_missing'
  | 'other_home_region'
  | 'no_tailnet_address'
  | 'grant_missing'
  | 'grant_ipv6_only'
  | 'no_address'
  | 'nothing_arrives';

/** One problem and how to fix it. */
export interface NodeProblem {
  readonly code: NodeProblemCode;
  /** A sentence on what is wrong. */
  readonly problem: string;
  /** A sentence on what to do. */
  readonly hint: string;
}

/** Facts for the decision besides the node itself. */
export interface ReadinessFacts {
  /** Number of addresses that clients get; null while that is not known yet. */
  readonly addresses: number | null;
  /** Endpoints that expired without being bound, since the last datagram of any client; null when not known. */
  readonly unreachedEndpoints: number | null;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** From this many endpoints without a datagram on, the cause is not a single client. */
const UNREACHED_ENDPOINTS = 3;

/** Returns all problems that prevent a tailnet from using the relay, the first cause first; empty when it is ready. */
export function nodeProblems(node: TailnetNode, facts: ReadinessFacts): NodeProblem[] {
  return [...registrationProblems(node, facts), ...mapProblems(node), ...addressProblems(facts)];
}

function registrationProblems(node: TailnetNode, { now }: ReadinessFacts): NodeProblem[] {
  const { settings, netmap, phase, loginUrl, error, errorKind, needsSignature } = node;
  const { self } = netmap;
  const problems: NodeProblem[] = [];
  const add = (code: NodeProblemCode, problem: string, hint: string): void =>
    void problems.push({ code, problem, hint });
  if (settings.capabilityVersion < LEAST_CAPABILITY_VERSION)
    add(
      'capability_version',
      `clients take no relay with capability version ${settings.capabilityVersion}`,
      `Set capabilityVersion to ${LEAST_CAPABILITY_VERSION} or more.`,
    );
  if (phase === NodePhase.Login)
    add(
      'login_needed',
      'the node is not let into the tailnet yet',
      `Open ${loginUrl ?? 'the URL in the log'}, or configure an auth key.`,
    );
  else if (error !== null && !needsSignature && (self === null || isShutOut(errorKind)))
    problems.push(controlProblem(error, errorKind));
  if (self !== null && hasExpired(self, now))
    add(
      'key_expired',
      'the key of the node has expired',
      'Run "towpath relay login", or use an auth key with a tag: its nodes never expire.',
    );
  // Headscale sends nodes with an expired key as not authorized.
  else if (self !== null && !self.isAuthorized)
    add(
      'approval_pending',
      'the tailnet asks for an approval of new devices',
      'Approve the node in the administration of the tailnet.',
    );
  if (node.isKeyInUse)
    add(
      'key_in_use',
      'other connections to the relay use the node key of this node',
      'End the program that has a copy of the state directory; the relay tries again each minute.',
    );
  if (needsSignature || (netmap.hasTailnetLock && self !== null && !self.isSigned))
    add(
      'tailnet_lock',
      'tailnet lock is on, and the key of the node is not signed',
      `Run "tailscale lock sign ${formatNodeKey(node.state.node.publicKey)}" on a signing node.`,
    );
  return problems;
}

/** Whether the node is not in the tailnet any more. After other errors its last network map is still right. */
function isShutOut(kind: TailnetNode['errorKind']): boolean {
  return kind === 'refused' || kind === 'unknown-node' || kind === 'auth-key';
}

/** Returns the problem that the node cannot enter the tailnet. `error` is the last error of the control server. */
function controlProblem(error: string, kind: TailnetNode['errorKind']): NodeProblem {
  switch (kind) {
    case 'auth-key':
      return {
        code: 'auth_key_missing',
        problem: error,
        hint: 'Put an auth key of the tailnet there, or remove authKey and authKeyFile to log in by a URL.',
      };
    case 'refused':
    case 'unknown-node':
      return {
        code: 'registration_refused',
        problem: error,
        hint: 'If it is about the auth key, make a new one and put it in its place; the relay reads it again at the next attempt.',
      };
    default:
      return {
        code: 'control_unreachable',
        problem: error,
        hint: 'Check controlUrl, and whether the control server runs; the relay tries again by itself.',
      };
  }
}

function mapProblems({ settings, netmap, phase }: TailnetNode): NodeProblem[] {
  const { self } = netmap;
  if (self === null || phase === NodePhase.Approval) return [];
  const { region } = settings;
  const problems: NodeProblem[] = [];
  const add = (code: NodeProblemCode, problem: string, hint: string): void =>
    void problems.push({ code, problem, hint });
  if (self.attributes.has('disable-relay-server'))
    add(
      'relay_disabled',
      'the policy of the tailnet gives this node the attribute disable-relay-server',
      'Remove the attribute from the policy.',
    );
  if (netmap.serversOf(region) === 0)
    add(
      'region_missing',
      `the DERP map of the tailnet has no region ${region}, which is the one of this relay`,
      'Enter the region into the DERP map of the tailnet; "towpath derp-map" prints it.',
    );
  if (self.homeRegion !== 0 && self.homeRegion !== region)
    add(
      'other_home_region',
      `the control server has ${self.homeRegion} as the home region of the node, not ${region}`,
      'Wait a minute; if it stays, check that no other program uses the same state directory.',
    );
  if (self.addresses.length === 0)
    add(
      'no_tailnet_address',
      'the control server gave the node no address',
      'Check the prefixes of the control server.',
    );
  problems.push(...grantProblems(netmap));
  return problems;
}

function grantProblems(netmap: TailnetNode['netmap']): NodeProblem[] {
  let hasOtherFamily = false;
  for (const peer of netmap.peers) {
    const grant = netmap.judge(peer);
    if (grant === 'granted') return [];
    hasOtherFamily ||= grant === 'other-family-only';
  }
  // Without any other node, a missing grant is not a problem.
  if (netmap.peerCount === 0) return [];
  if (hasOtherFamily) {
    return [
      {
        code: 'grant_ipv6_only',
        problem: 'the grant of tailscale.com/cap/relay covers only IPv6 addresses, and clients look at IPv4',
        hint: 'Write the grant with names, tags or IPv4 addresses.',
      },
    ];
  }
  return [
    {
      code: 'grant_missing',
      problem: 'the policy of the tailnet grants tailscale.com/cap/relay towards this node to no node',
      hint: 'Add a grant such as {"src": ["*"], "dst": ["tag:relay"], "app": {"tailscale.com/cap/relay": []}} (docs/peer-relay.md).',
    },
  ];
}

function addressProblems({ addresses, unreachedEndpoints }: ReadinessFacts): NodeProblem[] {
  const problems: NodeProblem[] = [];
  if (addresses === 0) {
    problems.push({
      code: 'no_address',
      problem: 'there is no address to tell clients',
      hint: 'Configure peerRelay.advertise.addresses.',
    });
  }
  if (unreachedEndpoints !== null && unreachedEndpoints >= UNREACHED_ENDPOINTS) {
    problems.push({
      code: 'nothing_arrives',
      problem: `clients were given ${unreachedEndpoints} endpoints, and not one datagram arrived`,
      hint: 'Open the UDP ports of peerRelay.ports in the firewall, and check peerRelay.advertise.addresses.',
    });
  }
  return problems;
}

/** Says that the key expires within a week when nothing renews it; null otherwise. */
export function expiryWarning(node: TailnetNode, now: number): string | null {
  const expiresAt = node.netmap.self?.keyExpiresAt ?? null;
  if (expiresAt === null || expiresAt - now > 7 * DAY_MS) return null;
  return `the key of the node expires at ${new Date(expiresAt).toISOString()}; an auth key renews it a day before, "towpath relay login" at any time`;
}
