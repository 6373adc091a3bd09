import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Clock } from '../../src/base/clock.ts';
import { connectDerp } from '../../src/client/connect.ts';
import { TailnetNode } from '../../src/tailnet/node.ts';
import { NodeState } from '../../src/tailnet/node-state.ts';
import { transport } from '../../src/transport/runtime.ts';
import { RelayPeer } from '../../test/relay/udp/relay-peer.ts';
import { RelayNodeClient } from '../../test/service/peer-relay/relay-node-client.ts';
import type { TestEndpoint } from './generator.ts';

const PATIENCE_MS = 60_000;
/** New endpoints that one of our nodes asks for: the most that the relay accepts at once. */
const ENDPOINTS_OF_NODE = 90;

/** The servers that the nodes of the generator register with and ask. */
export interface Tailnet {
  readonly controlUrl: string;
  readonly authKey: string;
  readonly region: number;
  /** `https://…/derp` of the relay's home region. */
  readonly derpUrl: string;
  /** The name of the peer relay in the tailnet, without the domain. */
  readonly relayName: string;
  /** Folder with the keys of the nodes, so that a later run has the same nodes. */
  readonly folder: string;
}

/** Nodes of a tailnet that ask its peer relay for endpoints, as clients do. */
export class NodeClients {
  readonly #tailnet: Tailnet;
  readonly #clock = new Clock();
  readonly #ends: (() => Promise<void> | void)[] = [];

  constructor(tailnet: Tailnet) {
    this.#tailnet = tailnet;
    this.#clock.start();
  }

  /** Gets `count` endpoints from the relay, none of them bound. */
  async allocate(count: number): Promise<TestEndpoint[]> {
    const nodes = Math.ceil(count / ENDPOINTS_OF_NODE);
    const shares = Array.from({ length: nodes }, (_, i) => Math.min(ENDPOINTS_OF_NODE, count - i * ENDPOINTS_OF_NODE));
    const endpoints = await Promise.all(shares.map((share, i) => this.#ofNode(i, share)));
    return endpoints.flat();
  }

  async close(): Promise<void> {
    for (const end of this.#ends) await end();
    this.#clock.stop();
  }

  async #ofNode(index: number, count: number): Promise<TestEndpoint[]> {
    const node = await this.#register(index);
    const relay = await this.#relayOf(node);
    const client = new RelayNodeClient(index, { nodeKeys: node.state.node, peer: new RelayPeer(node.state.disco) });
    const derp = await connectDerp({
      transport,
      clock: this.#clock,
      url: this.#tailnet.derpUrl,
      verify: { kind: 'none' },
      keys: node.state.node,
      handler: { packet: client.packet.bind(client) },
    });
    client.derp = derp;
    const endpoints: TestEndpoint[] = [];
    for (let i = 0; i < count; i++) {
      const other = new RelayNodeClient(i);
      const response = await client.allocate(other, relay, 20);
      if (response === undefined) throw new Error('the relay gives no endpoint');
      const { vni, serverDisco } = response.endpoint;
      endpoints.push({ vni, serverDisco: Buffer.from(serverDisco), clients: [client.peer, other.peer] });
    }
    derp.close();
    return endpoints;
  }

  async #register(index: number): Promise<TailnetNode> {
    const { controlUrl, authKey, region, folder } = this.#tailnet;
    const name = `generator${index}`;
    const settings = {
      name,
      controlUrl,
      readAuthKey: () => authKey,
      hostname: name,
      tags: [],
      region,
      capabilityVersion: 131,
      caPem: null,
      mapBytes: 2 ** 20,
      peers: 1000,
    };
    const state = NodeState.open(path.join(folder), name, controlUrl);
    const log = { debug() {}, info() {}, warn() {} };
    const node = new TailnetNode(settings, state, { clock: this.#clock, log, environment: {} });
    node.start();
    this.#ends.push(() => node.stop());
    await this.#until(`node ${name} is in the tailnet: ${node.error}`, () => node.netmap.self !== null);
    return node;
  }

  /** The keys of the relay, as soon as the map has them. */
  async #relayOf(node: TailnetNode): Promise<{ nodeKey: Buffer; discoKey: Buffer }> {
    const { relayName } = this.#tailnet;
    const find = () => [...node.netmap.peers].find(({ name }) => name.split('.')[0] === relayName);
    await this.#until(`the map has the node ${relayName}`, () => Boolean(find()?.discoKey));
    const { nodeKey, discoKey } = find()!;
    return { nodeKey: nodeKey!, discoKey: discoKey! };
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    const startedAt = performance.now();
    while (!condition()) {
      if (performance.now() - startedAt > PATIENCE_MS) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`);
      await pause(50);
    }
  }
}
