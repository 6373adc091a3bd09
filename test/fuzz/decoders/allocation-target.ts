import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Clock } from '../../../src/base/clock.ts';
import { onInternalError } from '../../../src/base/errors.ts';
import { Counters } from '../../../src/observe/counters.ts';
import { DuplicatePolicy } from '../../../src/relay/routing/duplicates.ts';
import { Delivery, type Presence, type Recipient } from '../../../src/relay/routing/recipient.ts';
import { Router } from '../../../src/relay/routing/router.ts';
import type { EndpointTable } from '../../../src/tailnet/endpoint-table.ts';
import { formatDiscoKey } from '../../../src/tailnet/key-text.ts';
import { readMapResponse } from '../../../src/tailnet/map-response.ts';
import { TailnetNode } from '../../../src/tailnet/node.ts';
import { NodeState } from '../../../src/tailnet/node-state.ts';
import { RelayNode } from '../../../src/tailnet/relay-node.ts';
import { decodeDiscoMessage, DiscoType, encodeDiscoMessage } from '../../../src/wire/disco-messages.ts';
import { openDisco, sealDisco, sharedDiscoKey } from '../../../src/wire/disco.ts';
import { formatNodeKey, generateNodeKeyPair } from '../../../src/wire/keys.ts';
import { applyEdits, edits } from '../mutate.ts';
import type { Random } from '../random.ts';
import { LOW_ORDER_KEYS } from '../../wire/low-order-keys.ts';
import { check, type Target } from './target.ts';

const CLIENTS = 3;
/** Time between two packets, in milliseconds: the rate limit of a node accepts most of them. */
const STEP_MS = 60;

/** A client of the router that keeps the packets of the relay. */
class Client implements Recipient {
  readonly keys = generateNodeKeyPair();
  readonly disco = generateNodeKeyPair();
  readonly received: Buffer[] = [];

  deliver(_source: unknown, _destination: unknown, buffer: Buffer, from: number, to: number): Delivery {
    this.received.push(Buffer.from(buffer.subarray(from, to)));
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

const TABLE: EndpointTable = {
  addresses: () => [{ ip: '192.0.2.10', port: 40_000 }],
  allocate: ({ clientKeys }) =>
    Promise.resolve({
      serverDisco: Buffer.alloc(32, 7),
      clientKeys,
      lamportId: 3,
      vni: 5,
      bindLifetimeMs: 30_000,
      steadyLifetimeMs: 300_000,
    }),
  revoke: () => {},
};

/** Clients that send anything to the node key of the relay; the last of them is a stranger to the tailnet. */
class Stage {
  readonly clients: readonly Client[] = Array.from({ length: CLIENTS }, () => new Client());
  readonly bugs: unknown[] = [];
  readonly node: TailnetNode;
  readonly #router = new Router(new Counters(), DuplicatePolicy.LastWriter, {
    connectionsPerKey: 4,
    contactsPerClient: 9,
  });
  readonly #relay: RelayNode;
  readonly #clock = new Clock();

  constructor() {
    const directory = mkdtempSync(path.join(tmpdir(), 'towpath-fuzz-'));
    const settings = {
      name: 'home',
      controlUrl: 'http://127.0.0.1:1',
      readAuthKey: () => null,
      hostname: 'relay',
      tags: [],
      region: 900,
      capabilityVersion: 131,
      caPem: null,
      mapBytes: 1e6,
      peers: 10,
    };
    const log = { debug() {}, info() {}, warn() {} };
    this.node = new TailnetNode(settings, NodeState.open(directory, 'home', settings.controlUrl), {
      clock: this.#clock,
      log,
      environment: {},
    });
    rmSync(directory, { recursive: true });
    this.#relay = new RelayNode({
      node: this.node,
      router: this.#router,
      table: TABLE,
      isOverQuota: () => false,
      isDenied: () => false,
      clock: this.#clock,
      refused() {},
    });
    for (const client of this.clients) this.#router.register(client.keys.publicKey, client);
    this.#relay.open();
    const known = this.clients.slice(0, -1).map((client, i) => ({
      ID: i + 2,
      Key: formatNodeKey(client.keys.publicKey),
      DiscoKey: formatDiscoKey(client.disco.publicKey),
      Addresses: [`100.64.0.${i + 2}/32`],
    }));
    const filter = [{ SrcIPs: ['*'], CapGrant: [{ Dsts: ['100.64.0.1/32'], Caps: ['tailscale.com/cap/relay'] }] }];
    const self = { ID: 1, Key: formatNodeKey(this.node.state.node.publicKey), Addresses: ['100.64.0.1/32'] };
    this.node.netmap.apply(readMapResponse({ Node: self, Peers: known, PacketFilter: filter }));
    onInternalError((_where, error) => this.bugs.push(error));
  }

  /** Sends bytes of a client to the relay, and waits until they are handled. */
  async send(client: Client, packet: Buffer): Promise<void> {
    const source = this.#router.table.named(client.keys.publicKey)!;
    const to = this.node.state.node.publicKey;
    this.#clock.tick(this.#clock.now + STEP_MS);
    this.#router.route(source, Buffer.concat([to, packet]), 0, to.length, to.length + packet.length);
    await new Promise(setImmediate);
  }

  /** Returns the number of outcomes so far, of all kinds. */
  get outcomes(): number {
    return Object.values(this.#relay.counts).reduce((sum, count) => sum + count, 0);
  }
}

const stage = new Stage();
const relayKey = stage.node.state.disco.publicKey;

/** Packets to the relay's node key over DERP. */
export const ALLOCATION_TARGET: Target = {
  name: 'allocation requests',
  samples: [],
  async feed(input, random) {
    const client = random.pick(stage.clients);
    const packet = random.once(8) ? input : requestOf(client, random);
    const before = stage.outcomes;
    await stage.send(client, packet);
    check(stage.bugs.length === 0, `nothing throws: ${String(stage.bugs[0])}`);
    check(stage.outcomes === before + 1, 'each packet has one outcome');
    for (const other of stage.clients) {
      const answers = other.received.splice(0);
      check(answers.length === 0 || other === client, 'nobody else is answered');
      check(answers.length <= 1, 'a request has one answer');
      check(answers.length === 0 || client !== stage.clients.at(-1), 'a stranger is not answered');
    }
  },
};

function requestOf(client: Client, random: Random): Buffer {
  const other = random.pick(stage.clients);
  const odd = random.once(6) ? Buffer.from(random.pick(LOW_ORDER_KEYS), 'hex') : other.disco.publicKey;
  const message = random.once(5)
    ? encodeDiscoMessage({ type: DiscoType.Ping, transactionId: random.bytes(12), nodeKey: null })
    : encodeDiscoMessage({
        type: DiscoType.AllocateRequest,
        clientKeys: [client.disco.publicKey, odd],
        generation: random.next(),
      });
  const plain = random.once(3) ? applyEdits(message, edits(random, message.length)) : message;
  check(decodeDiscoMessage(message) !== null, 'a sample is a message');
  const shared = sharedDiscoKey(client.disco.privateKey, relayKey)!;
  const sealed = sealDisco(client.disco, shared, plain, random.bytes(24));
  check(openDisco(shared, sealed)?.equals(plain) === true, 'a sample opens');
  return random.once(3) ? applyEdits(sealed, edits(random, sealed.length)) : sealed;
}
