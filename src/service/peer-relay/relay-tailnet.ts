import type { Logger } from 'pino';
import type { Clock } from '../../base/clock.ts';
import type { PeerRelayLimitsConfig, TailnetConfig } from '../../config/schema/peer-relay.ts';
import type { Health } from '../../observe/health.ts';
import type { Router } from '../../relay/routing/router.ts';
import type { EndpointTable } from '../../tailnet/endpoint-table.ts';
import { TailnetNode } from '../../tailnet/node.ts';
import { nodeProblems, type ReadinessFacts } from '../../tailnet/node-readiness.ts';
import { NodeState } from '../../tailnet/node-state.ts';
import { RelayNode } from '../../tailnet/relay-node.ts';
import { nodeSettings } from './tailnet-settings.ts';

/** One tailnet: the node as the control server sees it, and as its peers see it. */
export interface RelayTailnet {
  readonly node: TailnetNode;
  readonly relay: RelayNode;
}

export interface RelayTailnetParts {
  readonly router: Router;
  readonly table: EndpointTable;
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: Health;
  /** The DERP region of this relay. */
  readonly region: number;
  readonly limits: PeerRelayLimitsConfig;
  readonly stateDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly isOverQuota: (key: Buffer) => boolean;
  readonly isDenied: (key: Buffer) => boolean;
  /** Called for each request that got no endpoint, with the reason and the node. */
  readonly refused: (reason: string, who: string) => void;
  readonly facts: () => ReadinessFacts;
  /** Called when the network map has changed. */
  readonly changed: () => void;
}

/** The state of a tailnet from the start until its first network map. */
const WAITING = 'there is no network map yet. It comes as soon as the control server has let the node in.';

/** Reads the state of the node in a tailnet, or makes it; nothing is started. Throws a TowpathError for a bad file. */
export function openRelayTailnet(config: TailnetConfig, parts: RelayTailnetParts): RelayTailnet {
  const { clock, environment, health, limits, log, region, router, table } = parts;
  const { name } = config;
  const state = NodeState.open(parts.stateDirectory, name, config.controlUrl);
  if (state.warning !== null) log.warn({ file: state.path }, state.warning);
  const node = new TailnetNode(nodeSettings(config, region, limits), state, { clock, log, environment });
  const refused: RelayTailnetParts['refused'] = (reason, who) => parts.refused(reason, `${name}: ${who}`);
  const { isOverQuota, isDenied } = parts;
  const relay = new RelayNode({ node, router, table, clock, isOverQuota, isDenied, refused });
  node.listener = {
    changed: () => {
      relay.netmapChanged();
      parts.changed();
      const [first] = nodeProblems(node, parts.facts());
      const problem = first === undefined ? null : `${first.problem}. ${first.hint}`;
      // Waiting for the first map is not a fault, so it is not logged.
      const state = problem ?? (node.netmap.self === null ? WAITING : null);
      if (health.set(`tailnet ${name}`, state) && problem !== null)
        log.warn({ tailnet: name, problem }, 'the peer relay is not ready for this tailnet');
    },
    keyChanged: () => relay.keyChanged(),
  };
  return { node, relay };
}
