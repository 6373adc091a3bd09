import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { formatDiscoKey, parseDiscoKey } from '../../../src/tailnet/key-text.ts';
import { formatNodeKey, parseNodeKey } from '../../../src/wire/keys.ts';
import { freePort } from '../../free-port.ts';
import { FakeControl } from '../../tailnet/fake-control.ts';
import { TestRelay } from '../support.ts';
import { NO_FAULTS, RelayNodeClient, type Faults } from './relay-node-client.ts';
import { transfer, USUAL_BLOCK_BYTES, type TransferEnd } from './transfer.ts';

/** Bytes in each direction after each change, and in large datagrams, so that the transfer takes seconds. */
const BYTES = 500_000;
export const MANY_BYTES = 100_000_000;
export const MANY_BLOCK_BYTES = 16_000;
export const BAD_NETWORK: Faults = { lost: 0.05, doubled: 0.05, late: 0.1 };
export const TRIES = 40;
export const GRANT: object = {
  SrcIPs: ['100.64.0.2', '100.64.0.3'],
  CapGrant: [{ Dsts: ['100.64.0.1/32'], CapMap: { 'tailscale.com/cap/relay': null } }],
};

/** A control server, a relay that can be restarted, and two nodes. */
export class RelayWorld {
  readonly control: FakeControl;
  readonly a: RelayNodeClient = new RelayNodeClient(1);
  readonly b: RelayNodeClient = new RelayNodeClient(2);
  readonly folder: string = mkdtempSync(path.join(tmpdir(), 'towpath-peer-relay-'));
  readonly port: number;
  relay!: TestRelay;
  /** Map streams that relays have opened so far. */
  mapStreams = 0;

  private constructor(control: FakeControl, port: number) {
    this.control = control;
    this.port = port;
    control.behaviour.streamed = (stream) => {
      this.mapStreams++;
      stream.send(firstFrame(String(stream.request['NodeKey']), this.a, this.b));
    };
  }

  static async open(t: TestContext): Promise<RelayWorld> {
    const world = new RelayWorld(await FakeControl.start(), await freePort());
    await world.startRelay();
    for (const node of [world.a, world.b]) await node.move();
    t.after(async () => {
      for (const node of [world.a, world.b]) node.close();
      await world.relay.stop();
      await world.control.stop();
      rmSync(world.folder, { recursive: true });
    });
    return world;
  }

  async startRelay(): Promise<void> {
    this.relay = await TestRelay.start({
      TOWPATH_PEER_RELAY_PORTS: String(this.port),
      TOWPATH_PEER_RELAY_ADVERTISE_ADDRESSES: '127.0.0.1',
      TOWPATH_PEER_RELAY_ADVERTISE_ONLY: 'true',
      TOWPATH_PEER_RELAY_STATE_DIRECTORY: this.folder,
      TOWPATH_PEER_RELAY_TAILNETS: JSON.stringify([{ name: 'home', controlUrl: this.control.url }]),
    });
  }

  /** Stops the relay in order and starts it again; this ends the connections of the DERP clients. */
  async restartRelay(loses: 'nothing' | 'endpoints' = 'nothing'): Promise<void> {
    await this.relay.stop();
    assert.ok(!this.relay.lines.some((line) => line.includes('not ready for this tailnet')), 'the stop is no problem');
    const file = path.join(this.folder, 'endpoints.json');
    assert.ok(existsSync(file), 'the endpoints were left on disk');
    if (loses === 'endpoints') rmSync(file);
    await this.startRelay();
    assert.equal(existsSync(file), false, 'and were taken');
  }

  async connect(): Promise<void> {
    for (const node of [this.a, this.b]) {
      const handler = { packet: node.packet.bind(node) };
      node.derp = await this.relay.client({ keys: node.nodeKeys, handler });
    }
  }

  get keys(): { nodeKey: Buffer; discoKey: Buffer } {
    return keysOfRelay(this.control);
  }

  /** One node asks, and both use its endpoint, as after a CallMeMaybeVia. Binds until a ping arrives. */
  async meet(): Promise<number> {
    await this.relay.until(() => this.control.updates.length > 0, 'the relay is known to the control server');
    const response = await this.a.allocate(this.b, this.keys);
    assert.ok(response !== undefined, this.relay.lines.join(''));
    this.a.use(response.endpoint, this.b);
    this.b.use(response.endpoint, this.a);
    await this.bindUntilPing();
    return response.endpoint.vni;
  }

  async bindUntilPing(): Promise<void> {
    assert.ok(await bindBoth(this.a, this.b), `no ping came through\n${this.relay.lines.join('')}`);
  }

  setFaults(faults: Faults): void {
    this.a.faults = faults;
    this.b.faults = faults;
  }

  /** Sends bytes in each direction through the relay, on a bad network. */
  async exchange(bytes: number = BYTES, blockBytes: number = USUAL_BLOCK_BYTES): Promise<void> {
    this.setFaults(BAD_NETWORK);
    const [a, b] = [overRelay(this.a), overRelay(this.b)];
    await transfer(a, b, bytes, blockBytes);
    await transfer(b, a, bytes, blockBytes);
    this.setFaults(NO_FAULTS);
  }
}

/** The first frame of a map stream: the relay with `nodeKey` as text, and both nodes, which may use it. */
export function firstFrame(nodeKey: string, a: RelayNodeClient, b: RelayNodeClient): object {
  const peer = (node: RelayNodeClient, id: number): object => ({
    ID: id,
    Name: `node${id}.`,
    Key: formatNodeKey(node.nodeKeys.publicKey),
    DiscoKey: formatDiscoKey(node.peer.keys.publicKey),
    Addresses: [`100.64.0.${id}/32`],
    Cap: 131,
    HomeDERP: 900,
  });
  return {
    Node: {
      ID: 1,
      Name: 'relay.',
      Key: nodeKey,
      Addresses: ['100.64.0.1/32'],
      HomeDERP: 900,
      MachineAuthorized: true,
    },
    DERPMap: { Regions: { 900: { RegionID: 900, Nodes: [{ HostName: '127.0.0.1' }] } } },
    Peers: [peer(a, 2), peer(b, 3)],
    PacketFilter: [GRANT],
  };
}

/** Both nodes bind to the endpoint that they use, until a ping of the first one is answered. Returns whether one was. */
export async function bindBoth(a: RelayNodeClient, b: RelayNodeClient): Promise<boolean> {
  for (let i = 0; i < TRIES; i++) {
    await Promise.all([a.bind(), b.bind()]);
    if (await a.ping()) return true;
  }
  return false;
}

/** The keys of the relay in the maps of clients. */
export function keysOfRelay(control: FakeControl): { nodeKey: Buffer; discoKey: Buffer } {
  const update = control.updates.at(-1)!;
  return {
    nodeKey: parseNodeKey(String(update['NodeKey']))!,
    discoKey: parseDiscoKey(String(update['DiscoKey']))!,
  };
}

function overRelay(node: RelayNodeClient): TransferEnd {
  return end(node, (data) => node.sendData(data));
}

export function overDerp(node: RelayNodeClient, to: RelayNodeClient): TransferEnd {
  return end(node, (data) => void node.derp!.send(to.nodeKeys.publicKey, data));
}

function end(node: RelayNodeClient, send: (data: Uint8Array) => void): TransferEnd {
  return {
    send,
    set onData(listener: (data: Buffer) => void) {
      node.onData = listener;
    },
  };
}
