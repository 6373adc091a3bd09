/** A region of relays in this process, linked over the loopback. */
import type { TestContext } from 'node:test';
import { Clock } from '../../../src/base/clock.ts';
import { connectDerp } from '../../../src/client/connect.ts';
import type { DerpClient } from '../../../src/client/derp-client.ts';
import type { DerpClientOptions } from '../../../src/client/options.ts';
import { loadConfig } from '../../../src/config/load.ts';
import type { RefusalReason } from '../../../src/observe/counters.ts';
import type { MeshSettings } from '../../../src/relay/mesh/mesh.ts';
import type { LinkEvent, LinkSnapshot } from '../../../src/relay/mesh/snapshot.ts';
import { Relay, type RelayEvents } from '../../../src/relay/relay.ts';
import { relaySettings } from '../../../src/service/relay-settings.ts';
import type { Transport } from '../../../src/transport/port.ts';
import { transport } from '../../../src/transport/runtime.ts';
import { generateNodeKeyPair, type NodeKeyPair } from '../../../src/wire/keys.ts';

export const MESH_KEY: Buffer = Buffer.alloc(32, 0x3e);
const PATIENCE_MS = 20_000;

const { config } = loadConfig({ env: { TOWPATH_HOSTNAME: '127.0.0.1', TOWPATH_TRANSPORT: 'plain' } });

/** One relay without TLS. After a restart it has the same key and port. */
export class RegionRelay {
  readonly keyPair: NodeKeyPair = generateNodeKeyPair();
  readonly events: LinkEvent[] = [];
  readonly refusals: (readonly [reason: RefusalReason, detail: string])[] = [];
  mesh: MeshSettings = {
    keys: [MESH_KEY],
    with: [],
    caPem: null,
    queueBytes: 262_144,
    clientsPerRelay: 1_000_000,
    app: 'test',
  };
  relay!: Relay;
  port = 0;
  readonly #clock: Clock;
  readonly #transport: Transport;

  constructor(clock: Clock, sockets: Transport) {
    this.#clock = clock;
    this.#transport = sockets;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/derp`;
  }

  /** This relay as an entry of `mesh.with`. */
  get entry(): MeshSettings['with'][number] {
    return { name: `127.0.0.1:${this.port}`, host: '127.0.0.1', port: this.port, isSecure: false, pin: null };
  }

  async start(): Promise<void> {
    const events: RelayEvents = {
      refused: (reason, _remote, _key, detail) => this.refusals.push([reason, detail]),
      opened: () => undefined,
      closed: () => undefined,
      listenerError: () => undefined,
      link: (event) => this.events.push(event),
      memory: () => undefined,
    };
    const settings = relaySettings(config, this.keyPair);
    this.relay = new Relay(structuredClone({ ...settings, live: { ...settings.live, mesh: this.mesh } }), {
      transport: this.#transport,
      clock: this.#clock,
      admission: { admit: () => ({ admitted: true }) },
      http: (stream) => stream.abort(),
      events,
      residentBytes: () => 0,
    });
    await this.relay.listen({ ip: '127.0.0.1', port: this.port }, null);
    this.port = this.relay.addresses[0]!.port;
    this.relay.joinRegion();
  }

  /** Applies changed settings of the mesh. */
  apply(mesh: Partial<MeshSettings>): void {
    this.mesh = { ...this.mesh, ...mesh };
    const { live } = relaySettings(config, this.keyPair);
    this.relay.apply(structuredClone({ ...live, mesh: this.mesh }));
  }

  /** Stops it. The connections of its clients and links end. */
  async stop(): Promise<void> {
    const ports = this.relay.closePorts();
    this.relay.close();
    await ports;
  }

  link(to: RegionRelay): LinkSnapshot | undefined {
    return this.relay.links().find(({ name }) => name === to.entry.name);
  }

  knows(key: Buffer): boolean {
    return this.relay.router.knows(key);
  }
}

/** Relays in a full mesh, and their clients. */
export class Region {
  readonly relays: readonly RegionRelay[];
  readonly clock: Clock = new Clock();
  readonly #clients: DerpClient[] = [];

  private constructor(count: number, sockets: Transport) {
    this.relays = Array.from({ length: count }, () => new RegionRelay(this.clock, sockets));
    this.clock.start();
  }

  /** Starts `count` relays and waits until each is linked to each. They are stopped after the test. */
  static async start(context: TestContext, count: number, sockets: Transport = transport): Promise<Region> {
    const region = new Region(count, sockets);
    context.after(() => region.stop());
    for (const relay of region.relays) await relay.start();
    for (const relay of region.relays) relay.apply({ with: region.others(relay).map(({ entry }) => entry) });
    await region.meshed();
    return region;
  }

  others(relay: RegionRelay): RegionRelay[] {
    return this.relays.filter((other) => other !== relay);
  }

  async meshed(): Promise<void> {
    await this.until(
      () => this.relays.every(({ relay }) => relay.links().every(({ state }) => state === 'open')),
      'every link is open',
    );
  }

  async client(relay: RegionRelay, options: Partial<DerpClientOptions> = {}): Promise<DerpClient> {
    const client = await connectDerp({
      transport,
      clock: this.clock,
      url: relay.url,
      timeoutMs: PATIENCE_MS,
      ...options,
    });
    this.#clients.push(client);
    return client;
  }

  /** Waits until every relay of `relays` knows the client. */
  async known(client: DerpClient, relays: readonly RegionRelay[] = this.relays): Promise<void> {
    await this.until(() => relays.every((relay) => relay.knows(client.publicKey)), 'every relay knows the client');
  }

  /** Waits until `condition` holds; checks it once per clock tick. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const endAt = performance.now() + PATIENCE_MS;
    await new Promise<void>((resolve, reject) => {
      const stop = this.clock.onTick((now) => {
        const holds = condition();
        if (!holds && now < endAt) return;
        stop();
        if (holds) resolve();
        else reject(new Error(`not within ${PATIENCE_MS} ms: ${what}`));
      });
    });
  }

  private async stop(): Promise<void> {
    for (const client of this.#clients) client.abort();
    for (const relay of this.relays) await relay.stop();
    this.clock.stop();
  }
}

/** The packets of a client (key of the source in hex, and packet as Latin-1), and the keys for which it got PeerGone. */
export class Received {
  readonly packets: string[] = [];
  readonly gone: string[] = [];

  constructor(client: DerpClient) {
    client.handler = {
      packet: (source, buffer, from, to) =>
        this.packets.push(`${source.toString('hex')} ${buffer.toString('latin1', from, to)}`),
      peerGone: (key, reason) => this.gone.push(`${key.toString('hex')} ${reason}`),
    };
  }
}
