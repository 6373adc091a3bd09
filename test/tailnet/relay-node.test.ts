import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Counters, PacketKind } from '../../src/observe/counters.ts';
import { Delivery, type Presence, type Recipient } from '../../src/relay/routing/recipient.ts';
import { DuplicatePolicy } from '../../src/relay/routing/duplicates.ts';
import { ForwardedSource } from '../../src/relay/routing/forwarded-source.ts';
import { Router } from '../../src/relay/routing/router.ts';
import type { AllocationOutcome } from '../../src/tailnet/allocation-outcome.ts';
import type { EndpointRequest, EndpointTable } from '../../src/tailnet/endpoint-table.ts';
import { formatDiscoKey } from '../../src/tailnet/key-text.ts';
import { readMapResponse } from '../../src/tailnet/map-response.ts';
import type { TailnetNode } from '../../src/tailnet/node.ts';
import { nodeReport, reportText } from '../../src/tailnet/node-report.ts';
import { RelayNode } from '../../src/tailnet/relay-node.ts';
import { openDisco, sealDisco, sharedDiscoKey } from '../../src/wire/disco.ts';
import { decodeDiscoMessage, DiscoType, encodeDiscoMessage, type DiscoMessage } from '../../src/wire/disco-messages.ts';
import { formatNodeKey, generateNodeKeyPair, type NodeKeyPair } from '../../src/wire/keys.ts';
import { Bench } from './support.ts';

/** A client of the relay's router. */
class Client implements Recipient {
  readonly nodeKeys = generateNodeKeyPair();
  disco: NodeKeyPair = generateNodeKeyPair();
  readonly received: { from: Buffer; packet: Buffer }[] = [];

  deliver(source: { key: Buffer }, _to: unknown, buffer: Buffer, from: number, to: number): Delivery {
    this.received.push({ from: source.key, packet: Buffer.from(buffer.subarray(from, to)) });
    return Delivery.Taken;
  }

  whenTaking(): void {}
  peerGone(): void {}
  health(): void {}
  crowdedOut(): void {}
  closePeer(): void {}
  presence(): Presence {
    return { ip: '', port: 0, flags: 1, app: '' };
  }
}

class Table implements EndpointTable {
  readonly requests: EndpointRequest[] = [];
  readonly revoked: string[] = [];
  places = [{ ip: '192.0.2.10', port: 40_000 }];

  addresses(): readonly { ip: string; port: number }[] {
    return this.places;
  }

  allocate(request: EndpointRequest): ReturnType<EndpointTable['allocate']> {
    this.requests.push(request);
    const [first, second] = [...request.clientKeys].sort((a, b) => a.compare(b)) as [Buffer, Buffer];
    return Promise.resolve({
      serverDisco: Buffer.alloc(32, 7),
      clientKeys: [first, second],
      lamportId: 3,
      vni: 5,
      bindLifetimeMs: 30_000,
      steadyLifetimeMs: 300_000,
    });
  }

  revoke(nodes: readonly string[]): void {
    this.revoked.push(...nodes);
  }
}

const GRANT = {
  SrcIPs: ['100.64.0.2'],
  CapGrant: [{ Dsts: ['100.64.0.1/32'], CapMap: { 'tailscale.com/cap/relay': null } }],
};

const PAST = '2026-01-01T00:00:00Z';

class Stage {
  readonly router = new Router(new Counters(), DuplicatePolicy.LastWriter, {
    connectionsPerKey: 4,
    contactsPerClient: 100,
  });
  readonly table = new Table();
  readonly asker = new Client();
  readonly other = new Client();
  readonly node: TailnetNode;
  readonly relay: RelayNode;
  readonly refused: string[] = [];
  /** Node keys in hex that have used up their quota. */
  readonly overQuota = new Set<string>();
  /** Node keys in hex that are denied. */
  readonly denied = new Set<string>();
  readonly #bench: Bench;

  private constructor(bench: Bench) {
    this.#bench = bench;
    this.node = bench.node();
    this.relay = new RelayNode({
      node: this.node,
      router: this.router,
      table: this.table,
      clock: bench.clock,
      isOverQuota: (key) => this.overQuota.has(key.toString('hex')),
      isDenied: (key) => this.denied.has(key.toString('hex')),
      refused: (reason) => this.refused.push(reason),
    });
    for (const client of [this.asker, this.other]) this.router.register(client.nodeKeys.publicKey, client);
    this.relay.open();
    this.map({ PacketFilter: [GRANT] });
  }

  static async open(t: TestContext): Promise<Stage> {
    return new Stage(await Bench.open(t));
  }

  /** Applies a frame with both clients as peers. */
  map(more: object, asker: object = {}): void {
    const entry = (client: Client, id: number): object => ({
      ID: id,
      Name: `node${id}.`,
      Key: formatNodeKey(client.nodeKeys.publicKey),
      DiscoKey: formatDiscoKey(client.disco.publicKey),
      Addresses: [`100.64.0.${id}/32`],
    });
    const peers = [{ ...entry(this.asker, 2), ...asker }, entry(this.other, 3)];
    this.node.netmap.apply(readMapResponse(this.#bench.firstFrame(this.node, { Peers: peers, ...more })));
    this.relay.netmapChanged();
  }

  /** Applies a frame that changes one peer. */
  patch(change: object): void {
    this.node.netmap.apply(readMapResponse({ PeersChangedPatch: [change] }));
    this.relay.netmapChanged();
  }

  /** Advances the clock once. */
  later(ms: number): void {
    this.#bench.clock.stop();
    this.#bench.clock.tick(performance.now() + ms);
  }

  get skip(): Bench['skip'] {
    return (ms) => this.#bench.skip(ms);
  }

  /** Sends bytes to the relay's node key, and waits until they are handled. */
  async sendRaw(packet: Buffer, from = this.asker, to = this.node.state.node.publicKey): Promise<void> {
    const source = this.router.table.named(from.nodeKeys.publicKey)!;
    this.router.route(source, Buffer.concat([to, packet]), 0, 32, 32 + packet.length);
    await new Promise(setImmediate);
  }

  send(message: DiscoMessage, from = this.asker, to?: Buffer): Promise<void> {
    const shared = sharedDiscoKey(from.disco.privateKey, this.node.state.disco.publicKey)!;
    return this.sendRaw(sealDisco(from.disco, shared, encodeDiscoMessage(message)), from, to);
  }

  /** Sends a request of the asker, sealed with a disco key, as from the link to another relay of the region. */
  async forward(disco: NodeKeyPair): Promise<void> {
    const shared = sharedDiscoKey(disco.privateKey, this.node.state.disco.publicKey)!;
    const clientKeys = [disco.publicKey, this.other.disco.publicKey] as const;
    const packet = sealDisco(disco, shared, encodeDiscoMessage(this.request(clientKeys)));
    const source = new ForwardedSource();
    source.read(Buffer.concat([this.asker.nodeKeys.publicKey, this.node.state.node.publicKey]), 0);
    const destination = this.router.table.named(this.node.state.node.publicKey)!;
    this.relay.deliver(source, destination, packet, 0, packet.length, PacketKind.Disco);
    await new Promise(setImmediate);
  }

  request(keys?: readonly [Buffer, Buffer]): DiscoMessage {
    const clientKeys = keys ?? ([this.asker.disco.publicKey, this.other.disco.publicKey] as const);
    return { type: DiscoType.AllocateRequest, clientKeys, generation: 9 };
  }

  answer(to = this.asker): DiscoMessage | null {
    const got = to.received.pop();
    if (got === undefined) return null;
    const shared = sharedDiscoKey(to.disco.privateKey, this.node.state.disco.publicKey)!;
    return decodeDiscoMessage(openDisco(shared, got.packet)!);
  }

  /** Checks that there was no answer, and that it was counted as this outcome. */
  assertSilence(outcome: AllocationOutcome): void {
    assert.deepEqual(this.asker.received, []);
    assert.equal(this.relay.counts[outcome], 1, JSON.stringify(this.relay.counts));
  }
}

describe('allocations of a tailnet node', () => {
  it('are answered with the endpoint and the addresses of the relay', async (t) => {
    const stage = await Stage.open(t);
    await stage.send(stage.request());
    const answer = stage.answer();
    assert.ok(answer?.type === DiscoType.AllocateResponse);
    assert.equal(answer.generation, 9);
    assert.equal(answer.endpoint.vni, 5);
    assert.deepEqual(answer.endpoint.addresses, [{ ip: '192.0.2.10', port: 40_000 }]);
    assert.deepEqual(
      stage.table.requests.map(({ node, otherNode }) => [node, otherNode]),
      [['home/2', 'home/3']],
    );
    assert.equal(stage.relay.lastRequest(2)?.outcome, 'granted');
  });

  it('are answered to the key that sealed the request, also when the map does not know it yet (§19.15)', async (t) => {
    const stage = await Stage.open(t);
    stage.asker.disco = generateNodeKeyPair();
    await stage.send(stage.request());
    assert.equal(stage.answer()?.type, DiscoType.AllocateResponse);
    assert.deepEqual(stage.table.requests[0]?.askingKey, stage.asker.disco.publicKey);
  });

  it('are refused in silence to a node that has used up its bytes', async (t) => {
    const stage = await Stage.open(t);
    stage.overQuota.add(stage.asker.nodeKeys.publicKey.toString('hex'));
    await stage.send(stage.request());
    stage.assertSilence('over_quota');
    stage.overQuota.clear();
    await stage.send(stage.request());
    assert.equal(stage.answer()?.type, DiscoType.AllocateResponse);
    stage.relay.revoke(stage.asker.nodeKeys.publicKey);
    const [name] = stage.table.revoked;
    assert.deepEqual(stage.relay.keyOf(name!), stage.asker.nodeKeys.publicKey);
    assert.equal(stage.relay.keyOf('another/2'), null);
  });

  it('are refused when the other node is denied, over its quota or expired: it must not come back through its partner', async (t) => {
    const stage = await Stage.open(t);
    const other = stage.other.nodeKeys.publicKey.toString('hex');
    stage.denied.add(other);
    await stage.send(stage.request());
    stage.assertSilence('denied');
    stage.denied.clear();
    stage.overQuota.add(other);
    await stage.send(stage.request());
    stage.assertSilence('over_quota');
    stage.overQuota.clear();
    stage.map({ PacketFilter: [GRANT] });
    stage.patch({ NodeID: 3, KeyExpiry: PAST });
    await stage.send(stage.request());
    stage.assertSilence('expired');
    stage.patch({ NodeID: 3, KeyExpiry: '0001-01-01T00:00:00Z' });
    await stage.send(stage.request());
    assert.equal(stage.answer()?.type, DiscoType.AllocateResponse);
  });

  it('are refused in silence to nodes without the grant, or with one that clients do not look at (§19.9, §19.16)', async (t) => {
    const stage = await Stage.open(t);
    await stage.send(stage.request(), stage.other);
    assert.deepEqual(stage.other.received, []);
    assert.equal(stage.relay.counts.no_grant, 1);
    const six = { SrcIPs: ['fd7a::2'], CapGrant: [{ Dsts: ['fd7a::1/128'], Caps: ['tailscale.com/cap/relay'] }] };
    const self = { ID: 1, Addresses: ['100.64.0.1/32', 'fd7a::1/128'], MachineAuthorized: true };
    stage.map({ Node: self, PacketFilter: [six] }, { Addresses: ['100.64.0.2/32', 'fd7a::2/128'] });
    await stage.send(stage.request());
    stage.assertSilence('other_family_grant');
  });

  it('are refused in silence to strangers, expired nodes, and when there is no address or an attribute forbids it', async (t) => {
    const stage = await Stage.open(t);
    stage.map({ PacketFilter: [GRANT] }, { Expired: true });
    await stage.send(stage.request());
    stage.assertSilence('unknown_node');
    stage.map({ PacketFilter: [GRANT] });
    stage.table.places = [];
    await stage.send(stage.request());
    stage.assertSilence('no_address');
    const self = { ID: 1, Addresses: ['100.64.0.1/32'], CapMap: { 'disable-relay-server': null } };
    stage.map({ Node: self, PacketFilter: [GRANT] });
    await stage.send(stage.request());
    stage.assertSilence('disabled');
    stage.map({ Peers: [] });
    await stage.send(stage.request());
    assert.equal(stage.relay.counts.unknown_node, 2);
  });

  it('that come before the node is in the network map are answered as soon as it is, unless that takes long', async (t) => {
    const stage = await Stage.open(t);
    stage.map({ Peers: [], PacketFilter: [GRANT] });
    await stage.send(stage.request());
    await stage.send(stage.request());
    assert.equal(stage.relay.counts.unknown_node, 2);
    stage.map({ PacketFilter: [GRANT] });
    await new Promise(setImmediate);
    assert.equal(stage.answer()?.type, DiscoType.AllocateResponse);
    stage.map({ PacketFilter: [GRANT] });
    await new Promise(setImmediate);
    assert.equal(stage.answer(), null, 'once');
    stage.map({ Peers: [], PacketFilter: [GRANT] });
    await stage.send(stage.request());
    stage.later(10_100);
    stage.map({ PacketFilter: [GRANT] });
    await new Promise(setImmediate);
    assert.equal(stage.answer(), null, 'too late');
    assert.equal(stage.relay.counts.granted, 1);
  });

  it('that another relay of the region forwards are answered only when the map has their disco key (§19.9)', async (t) => {
    const stage = await Stage.open(t);
    await stage.forward(stage.asker.disco);
    assert.equal(stage.answer()?.type, DiscoType.AllocateResponse);
    await stage.forward(generateNodeKeyPair());
    stage.assertSilence('unproved_key');
    assert.deepEqual(stage.refused, ['unproved_key']);
  });

  it('of packets that are wrong end in silence and a count (§19.10)', async (t) => {
    const stage = await Stage.open(t);
    await stage.sendRaw(Buffer.from([4, 0, 0, 0]));
    stage.assertSilence('not_disco');
    const good = sealDisco(stage.asker.disco, Buffer.alloc(32, 1), Buffer.alloc(70));
    await stage.sendRaw(good);
    stage.assertSilence('bad_box');
    await stage.sendRaw(Buffer.concat([good.subarray(0, 6), Buffer.alloc(32), good.subarray(38)]));
    stage.assertSilence('bad_key');
    await stage.send({ type: DiscoType.Pong, transactionId: Buffer.alloc(12), ip: '192.0.2.1', port: 1 });
    stage.assertSilence('bad_message');
    assert.deepEqual(stage.refused, ['bad_box', 'bad_key', 'bad_message']);
  });

  it('stop when a node asks for too much', async (t) => {
    const stage = await Stage.open(t);
    for (let i = 0; i < 200; i++) await stage.send(stage.request());
    assert.ok(stage.relay.counts.request_rate > 50);
    assert.ok(stage.table.requests.length >= 100);
  });

  it('end when either key expires, also when the server only tells the time', async (t) => {
    for (const id of [2, 3]) {
      const stage = await Stage.open(t);
      await stage.send(stage.request());
      stage.patch({ NodeID: id, KeyExpiry: new Date(Date.now() + 3_600_000).toISOString() });
      assert.deepEqual(stage.table.revoked, []);
      stage.patch({ NodeID: id, KeyExpiry: PAST });
      assert.deepEqual(stage.table.revoked, [`home/${id}`]);
      stage.asker.received.length = 0;
      await stage.send(stage.request());
      stage.assertSilence(id === 2 ? 'unknown_node' : 'expired');
    }
  });

  it('end when either node is denied, and all of them when an attribute disables the relay', async (t) => {
    for (const i of [0, 1]) {
      const stage = await Stage.open(t);
      await stage.send(stage.request());
      stage.relay.endForbidden();
      assert.deepEqual(stage.table.revoked, []);
      stage.denied.add([stage.asker, stage.other][i]!.nodeKeys.publicKey.toString('hex'));
      stage.relay.endForbidden();
      assert.deepEqual(stage.table.revoked, [`home/${i + 2}`]);
    }
    const stage = await Stage.open(t);
    await stage.send(stage.request());
    const self = { ID: 1, Addresses: ['100.64.0.1/32'], CapMap: { 'disable-relay-server': null } };
    stage.map({ Node: self, PacketFilter: [GRANT] });
    assert.deepEqual(stage.table.revoked, ['home/2', 'home/3']);
  });

  it('end with the grant, and with the node (§19.25)', async (t) => {
    const stage = await Stage.open(t);
    await stage.send(stage.request());
    stage.map({ PacketFilter: [GRANT] });
    assert.deepEqual(stage.table.revoked, []);
    stage.map({ PacketFilter: [] });
    assert.deepEqual(stage.table.revoked, ['home/2']);
    stage.map({ Peers: [] });
    assert.deepEqual(stage.table.revoked, ['home/2', 'home/3']);
    stage.relay.tookOver('home/5', ['home/6', null, 'work/7', 'home/5']);
    stage.map({ Peers: [] });
    assert.deepEqual(stage.table.revoked.slice(2).sort(), ['home/5', 'home/6']);
  });
});

describe('a tailnet node on DERP', () => {
  it('answers a ping with where it comes from', async (t) => {
    const stage = await Stage.open(t);
    await stage.send({ type: DiscoType.Ping, transactionId: Buffer.alloc(12, 4), nodeKey: null });
    assert.deepEqual(stage.answer(), {
      type: DiscoType.Pong,
      transactionId: Buffer.alloc(12, 4),
      ip: '127.3.3.40',
      port: 900,
    });
  });

  it('is reached by its old key for a minute after a change, and answers from it', async (t) => {
    const stage = await Stage.open(t);
    const old = stage.node.state.node.publicKey;
    stage.node.state.rotate();
    stage.relay.keyChanged();
    await stage.send(stage.request(), stage.asker, old);
    assert.deepEqual(stage.asker.received[0]?.from, old);
    await stage.send(stage.request());
    assert.deepEqual(stage.asker.received[1]?.from, stage.node.state.node.publicKey);
    stage.skip(61_000);
    while (stage.router.table.named(old) !== null) await new Promise(setImmediate);
    stage.relay.close();
    assert.equal(stage.router.table.named(stage.node.state.node.publicKey), null);
  });
});

describe('a tailnet node whose key others use', () => {
  it('is not ready while they are too many, and tries again after a minute', async (t) => {
    const stage = await Stage.open(t);
    const key = stage.node.state.node.publicKey;
    const report = (): string =>
      reportText(nodeReport(stage.node, stage.relay, { addresses: 1, unreachedEndpoints: 0, now: Date.now() }));
    const others = Array.from({ length: 4 }, () => new Client());
    for (const other of others) stage.router.register(key, other);
    assert.match(report(), /not ready.*✗ key_in_use: .*\n {4}End the program/s);
    stage.skip(61_000);
    while (stage.node.isKeyInUse) await new Promise(setImmediate);
    assert.match(report(), /^tailnet home: ready/);
    await stage.send(stage.request());
    assert.equal(stage.answer()?.type, DiscoType.AllocateResponse);
    stage.relay.close();
  });
});

describe('the report on a node', () => {
  it('says what is ready, who may use it and what was asked', async (t) => {
    const stage = await Stage.open(t);
    await stage.send(stage.request());
    const report = nodeReport(stage.node, stage.relay, { addresses: 1, unreachedEndpoints: 0, now: Date.now() });
    assert.equal(report.isReady, true);
    assert.deepEqual([report.nodes, report.grantedNodes, report.requests.granted], [2, 1, 1]);
    const text = reportText(report);
    assert.match(text, /^tailnet home: ready/);
    assert.match(text, /2, of which 1 may use the relay\n.*granted 1\n/);
    stage.map({ PacketFilter: [] });
    const without = nodeReport(stage.node, stage.relay, { addresses: 0, unreachedEndpoints: 0, now: Date.now() });
    assert.match(reportText(without), /not ready.*✗ grant_missing: .*\n {4}Add a grant.*✗ no_address/s);
  });
});
