import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { DerpClient } from '../../../src/client/derp-client.ts';
import { generateNodeKeyPair } from '../../../src/wire/keys.ts';
import type { ScriptedSibling } from './scripted-sibling.ts';
import { MESH_KEY, Received, Region, type RegionRelay } from './support.ts';

/** A relay with two clients, which must reach each other in every attack of another relay. */
export class Attacked {
  readonly region: Region;
  readonly relay: RegionRelay;
  readonly clients: readonly DerpClient[];
  readonly received: readonly Received[];
  #number = 0;

  private constructor(region: Region, clients: readonly DerpClient[]) {
    this.region = region;
    this.relay = region.relays[0]!;
    this.clients = clients;
    this.received = clients.map((client) => new Received(client));
  }

  static async start(context: TestContext): Promise<Attacked> {
    const region = await Region.start(context, 1);
    const [relay] = region.relays as [RegionRelay];
    return new Attacked(region, [await region.client(relay), await region.client(relay)]);
  }

  until(condition: () => boolean, what: string): Promise<void> {
    return this.region.until(condition, what);
  }

  /** Links the relay to these siblings. */
  link(...siblings: ScriptedSibling[]): void {
    this.relay.apply({ with: siblings.map(({ entry }) => entry) });
  }

  get linkState(): string | undefined {
    return this.relay.relay.links()[0]?.state;
  }

  /** Opens a connection with the mesh key. */
  sibling(): Promise<DerpClient> {
    return this.region.client(this.relay, { info: { meshKey: MESH_KEY }, keys: generateNodeKeyPair() });
  }

  /** Checks that the clients can exchange packets, and that none got PeerGone. */
  async stillServes(): Promise<void> {
    const text = Buffer.from(`after attack ${++this.#number}`);
    const [a, b] = this.clients as [DerpClient, DerpClient];
    a.send(b.publicKey, text);
    b.send(a.publicKey, text);
    const isThere = (received: Received): boolean => received.packets.some((line) => line.endsWith(text.toString()));
    await this.until(() => this.received.every(isThere), 'the clients of the relay reach each other');
    assert.deepEqual(
      this.received.flatMap(({ gone }) => gone),
      [],
    );
  }

  /** Checks that no table has an entry of the attack. */
  async leavesNothing(): Promise<void> {
    this.relay.apply({ with: [] });
    const { relay } = this.relay;
    await this.until(
      () => relay.counters.remoteKeys === 0 && relay.counters.localKeys === 2,
      'the tables are as before',
    );
    assert.equal(relay.router.remote.size, 0);
  }
}
