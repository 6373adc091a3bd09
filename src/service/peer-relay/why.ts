import { printable } from '../../base/printable.ts';
import type { EndpointSnapshot, UdpRelaySnapshot } from '../../relay/udp/snapshot.ts';
import type { SnapshotChoice } from '../../relay/udp/snapshot.ts';
import { findPeers, isNamed } from '../../tailnet/find-peers.ts';
import type { NetmapPeer } from '../../tailnet/netmap.ts';
import { nodeProblems, type ReadinessFacts } from '../../tailnet/node-readiness.ts';
import type { RelayTailnet } from './relay-tailnet.ts';
import {
  endpointConditions,
  isInUse,
  nodeConditions,
  noEndpoint,
  relayConditions,
  type NodeUseFacts,
  type UseCondition,
} from './use-conditions.ts';

/** Most endpoints of one node that are checked. */
const MOST_ENDPOINTS = 50;

/** Why a node, or a pair of nodes, does not use the relay in one tailnet; plain data. */
export interface UseReport {
  readonly tailnet: string;
  /** The name in the network map. Null: the tailnet has no such node, or several; `conditions` has the reason. */
  readonly node: string | null;
  /** Null also when only one node was named. */
  readonly other: string | null;
  /** Whether traffic passes now. */
  readonly isUsed: boolean;
  readonly conditions: readonly UseCondition[];
}

/** The parts of the process that the report uses. */
export interface UseSources {
  readonly tailnets: readonly RelayTailnet[];
  readonly facts: ReadinessFacts;
  readonly snapshot: (choice: SnapshotChoice) => Promise<UdpRelaySnapshot | null>;
  /** The present time in milliseconds, by the clock of the requests. */
  readonly now: number;
  /** Returns whether a node key of 32 bytes has a DERP connection to this relay. */
  readonly isConnected: (nodeKey: Buffer) => boolean;
}

/**
 * Checks every condition for the use of the relay that the relay can see (addendum §3). `node` and `other` are names,
 * IP addresses or node keys; without `other`, all endpoints of the node are checked. Returns one report for each
 * tailnet that has the node. When none has it, there is one for every tailnet.
 */
export async function explainUse(sources: UseSources, node: string, other: string | null): Promise<UseReport[]> {
  const withNode = sources.tailnets.filter((tailnet) => findPeers(tailnet.node.netmap, node).length > 0);
  const asked = withNode.length > 0 ? withNode : sources.tailnets;
  return Promise.all(asked.map((tailnet) => explainIn(sources, tailnet, node, other)));
}

async function explainIn(
  sources: UseSources,
  tailnet: RelayTailnet,
  nodeText: string,
  otherText: string | null,
): Promise<UseReport> {
  const { settings } = tailnet.node;
  const conditions = relayConditions(nodeProblems(tailnet.node, sources.facts));
  const report = (node: string | null, other: string | null, isUsed: boolean): UseReport => ({
    tailnet: settings.name,
    node,
    other,
    isUsed,
    conditions,
  });
  const node = choose(tailnet, nodeText, conditions);
  const other = otherText === null ? null : choose(tailnet, otherText, conditions);
  if (node !== null && node === other) {
    conditions.push(unusable(otherText!, 'it is the same node as the other one', 'Name two nodes.'));
    return report(node.name, null, false);
  }
  if (node === null) return report(null, other?.name ?? null, false);
  const first = factsOf(sources, tailnet, node);
  const second = other === null ? null : factsOf(sources, tailnet, other);
  conditions.push(...nodeConditions(first, second, settings.capabilityVersion));
  if (second !== null) conditions.push(...nodeConditions(second, first, settings.capabilityVersion));
  if (otherText !== null && other === null) return report(node.name, null, false);
  const snapshot = await sources.snapshot({ endpoints: MOST_ENDPOINTS, node: first.tableName });
  const endpoints = (snapshot?.endpoints ?? []).filter((one) => second === null || names(one, second.tableName));
  for (const endpoint of endpoints) conditions.push(...endpointConditions(endpoint, (name) => nameOf(tailnet, name)));
  if (endpoints.length === 0) {
    const wasGranted = [first, second].some((facts) => facts?.lastRequest?.outcome === 'granted');
    conditions.push(noEndpoint(node.name, wasGranted));
  }
  return report(node.name, other?.name ?? null, endpoints.some(isInUse));
}

/** Returns the node that `text` means. Null, with a condition that says why, when no node or several nodes match. */
function choose({ node }: RelayTailnet, text: string, conditions: UseCondition[]): NetmapPeer | null {
  const found = findPeers(node.netmap, text);
  if (found.length === 1) return found[0]!;
  const { self } = node.netmap;
  const isSelf = self !== null && isNamed(self, text);
  const [problem, hint] = isSelf
    ? ['it is the node of the relay itself', 'Name the nodes that use the relay.']
    : found.length > 1
      ? [`several nodes have this name: ${found.map(({ name }) => name).join(', ')}`, 'Name one of them in full.']
      : [
          'no such node is in the network map of the relay',
          'Check the spelling. A node that the policy grants nothing towards the relay may be left out of the map.',
        ];
  conditions.push(unusable(text, problem, hint));
  return null;
}

/** Returns the condition that the node which `about` names cannot be checked. */
function unusable(about: string, text: string, hint: string): UseCondition {
  return { code: 'in_network_map', about, status: 'unmet', text, hint };
}

function factsOf(sources: UseSources, { node, relay }: RelayTailnet, peer: NetmapPeer): NodeUseFacts {
  const last = relay.lastRequest(peer.id);
  return {
    peer,
    tableName: relay.tableName(peer.id),
    grant: node.netmap.judge(peer),
    lastRequest: last === null ? null : { outcome: last.outcome, agoMs: sources.now - last.at },
    isConnected: peer.nodeKey !== null && sources.isConnected(peer.nodeKey),
  };
}

function names({ asker, sides }: EndpointSnapshot, tableName: string): boolean {
  return asker === tableName || sides.some(({ node }) => node === tableName);
}

function nameOf({ node, relay }: RelayTailnet, tableName: string): string {
  const id = relay.idOf(tableName);
  return (id === null ? null : node.netmap.peer(id)?.name) ?? tableName;
}

const MARKS = { met: '✓', unmet: '✗', unknown: '?' } as const;

/** Returns a report as text of several lines. */
export function useReportText({ tailnet, node, other, isUsed, conditions }: UseReport): string {
  const who = [node, other].filter((name) => name !== null).join(' and ');
  const verdict = node === null ? 'unknown node' : `${who}: the relay is ${isUsed ? '' : 'not '}used now`;
  const lines = [`tailnet ${tailnet}: ${verdict}`];
  let about = '';
  for (const condition of conditions) {
    if (condition.about !== about) lines.push(`  ${condition.about}`);
    about = condition.about;
    lines.push(`    ${MARKS[condition.status]} ${condition.text}`);
    if (condition.hint !== null && condition.status !== 'met') lines.push(`      ${condition.hint}`);
  }
  return `${lines.map((line) => printable(line)).join('\n')}\n`;
}
