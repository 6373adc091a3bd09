import { printable } from '../base/printable.ts';
import { formatNodeKey } from '../wire/keys.ts';
import type { AllocationCounts } from './allocation-outcome.ts';
import type { NodePhase, TailnetNode } from './node.ts';
import { expiryWarning, nodeProblems, type NodeProblem, type ReadinessFacts } from './node-readiness.ts';
import type { RelayNode } from './relay-node.ts';

/** A report on the node in one tailnet; plain data. */
export interface NodeReport {
  readonly name: string;
  readonly controlUrl: string;
  readonly phase: NodePhase;
  readonly isReady: boolean;
  readonly problems: readonly NodeProblem[];
  /** A problem that will come soon, or null. */
  readonly warning: string | null;
  /** URL where a person must log in, or null. */
  readonly loginUrl: string | null;
  /** Why the control server cannot be used now, or null. */
  readonly error: string | null;
  readonly nodeKey: string;
  /** Its name at the control server, or empty. */
  readonly nodeName: string;
  readonly addresses: readonly string[];
  /** ISO 8601; null: never, or not known. */
  readonly keyExpiresAt: string | null;
  readonly nodes: number;
  /** Number of nodes that the packet filter allows to use the relay. */
  readonly grantedNodes: number;
  /** Milliseconds since the last message of the control server; null: none yet. */
  readonly lastMessageAgoMs: number | null;
  readonly requests: AllocationCounts;
}

/** Returns the report on a node and the requests of its peers. */
export function nodeReport(node: TailnetNode, relay: RelayNode, facts: ReadinessFacts): NodeReport {
  const { netmap, settings, lastFrameAt } = node;
  const { self } = netmap;
  const problems = nodeProblems(node, facts);
  const expiresAt = self?.keyExpiresAt ?? null;
  let grantedNodes = 0;
  for (const peer of netmap.peers) if (netmap.judge(peer) === 'granted') grantedNodes++;
  return {
    name: settings.name,
    controlUrl: settings.controlUrl,
    phase: node.phase,
    isReady: self !== null && problems.length === 0,
    problems,
    warning: expiryWarning(node, facts.now),
    loginUrl: node.loginUrl,
    error: node.error,
    nodeKey: formatNodeKey(node.state.node.publicKey),
    nodeName: self?.name ?? '',
    addresses: self?.addresses ?? [],
    keyExpiresAt: expiresAt === null ? null : new Date(expiresAt).toISOString(),
    nodes: netmap.peerCount,
    grantedNodes,
    lastMessageAgoMs: lastFrameAt === null ? null : Math.max(0, facts.now - lastFrameAt),
    requests: { ...relay.counts },
  };
}

/** Returns a report as several lines of text for people. */
export function reportText(report: NodeReport): string {
  const { name, controlUrl, phase, isReady, problems, loginUrl, nodeKey, nodeName, addresses, keyExpiresAt } = report;
  const ago = report.lastMessageAgoMs;
  const lines = [
    `tailnet ${name}: ${isReady ? 'ready' : 'not ready'} (${phase})`,
    `  control server  ${controlUrl}${ago === null ? '' : `, last message ${Math.round(ago / 1000)} s ago`}`,
    `  node            ${nodeName === '' ? '(no name yet)' : nodeName} ${addresses.join(' ')}`.trimEnd(),
    `  node key        ${nodeKey}${keyExpiresAt === null ? '' : `, expires ${keyExpiresAt}`}`,
    `  nodes           ${report.nodes}, of which ${report.grantedNodes} may use the relay`,
    `  requests        ${countsText(report.requests)}`,
  ];
  if (loginUrl !== null) lines.push(`  log in at       ${loginUrl}`);
  for (const { code, problem, hint } of problems) lines.push(`  ✗ ${code}: ${problem}`, `    ${hint}`);
  if (report.error !== null && problems.length === 0) lines.push(`  ! ${report.error}`);
  if (report.warning !== null) lines.push(`  ! ${report.warning}`);
  return `${lines.map((line) => printable(line)).join('\n')}\n`;
}

function countsText(requests: AllocationCounts): string {
  const some = Object.entries(requests).filter(([, count]) => count > 0);
  return some.length === 0 ? 'none yet' : some.map(([outcome, count]) => `${outcome} ${count}`).join(', ');
}
