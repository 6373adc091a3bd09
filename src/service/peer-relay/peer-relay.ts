import type { Logger } from 'pino';
import type { Clock } from '../../base/clock.ts';
import { type DirectoryLock, TOUCH_MS } from '../../base/directory-lock.ts';
import { errorMessage } from '../../base/errors.ts';
import type { PeerRelayConfig, PeerRelayLimitsConfig } from '../../config/schema/peer-relay.ts';
import type { Counters } from '../../observe/counters.ts';
import { EventSummary } from '../../observe/event-summary.ts';
import type { Health } from '../../observe/health.ts';
import type { MetricDefinition } from '../../observe/metrics.ts';
import type { KeyTraffic } from '../../relay/session/key-traffic.ts';
import type { Router } from '../../relay/routing/router.ts';
import type { Offload } from '../../relay/udp/offload.ts';
import type { NodeRate, UdpRelayAnswer } from '../../relay/udp/commands.ts';
import { relayPlaces, type DoorPlace } from '../../relay/udp/door-places.ts';
import type { UdpDoor, UdpDoorSettings } from '../../relay/udp/door.ts';
import type { UdpRelayState } from '../../relay/udp/state.ts';
import { countStun } from '../../relay/udp/stun-counts.ts';
import type { UdpRelaySettings } from '../../relay/udp/rules.ts';
import { forwardedOf, type SnapshotChoice, type UdpRelaySnapshot } from '../../relay/udp/snapshot.ts';
import { RemoteEndpointTable, type EndpointTable } from '../../tailnet/endpoint-table.ts';
import type { ReadinessFacts } from '../../tailnet/node-readiness.ts';
import type { Transport } from '../../transport/port.ts';
import { mappingNonce } from './mapping-nonce.ts';
import { AddressSearch } from './address-search.ts';
import type { AdvertisedAddresses } from './advertised-addresses.ts';
import { offloadOf } from './offload-attributes.ts';
import { peerRelayMetrics } from './metrics.ts';
import { openRelayTailnet, type RelayTailnet } from './relay-tailnet.ts';
import { lockStateDirectory, saveState, takeState } from './state-file.ts';
import { explainUse, type UseReport } from './why.ts';

/** Time between two requests for the counts of the UDP thread. */
const SNAPSHOT_MS = 1000;
/** Time between two log lines about dropped datagrams. */
const DROPS_LOG_MS = 60_000;

export interface PeerRelayParts {
  readonly router: Router;
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: Health;
  readonly counters: Counters;
  /** The DERP region of this relay. */
  readonly region: number;
  /** Where STUN listens, and its limits. */
  readonly stun: { readonly places: readonly DoorPlace[] } & UdpDoorSettings['stun'];
  readonly transport: Transport;
  /** Returns whether a node key has used up its quota. Then it gets no endpoint. */
  readonly isOverQuota: (key: Buffer) => boolean;
  /** Returns whether an operator or a deny list denies a node key. Then it gets no endpoint. */
  readonly isDenied: (key: Buffer) => boolean;
  /** Returns the rate of a node key in bytes per second; 0: no limit; null: the common rate. */
  readonly rateOf: (key: Buffer) => number | null;
  readonly openDoor: (settings: UdpDoorSettings) => Promise<UdpDoor>;
  /** True while another process has the state directory, which this one replaces: see {@link PeerRelay.start}. */
  readonly isReplacing: boolean;
  /** The environment, which may name proxies. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * The peer relay of the process: the door of UDP with the rules of its endpoints, and a node in each tailnet. Endpoints are
 * on disk from {@link stop} to the next {@link start}, so that bound pairs continue without a handshake.
 */
export class PeerRelay {
  readonly #parts: PeerRelayParts;
  readonly #refusals: EventSummary;
  readonly #leaves: (() => void)[] = [];
  readonly #tailnets: readonly RelayTailnet[];
  readonly #search: AddressSearch;
  readonly #table: EndpointTable;
  /** Null until {@link start} when this process replaces another one. */
  #lock: DirectoryLock | null;
  /** Endpoints that the door has memory for. */
  readonly #mostEndpoints: number;
  #config: PeerRelayConfig;
  #door: UdpDoor | null = null;
  /** True when STUN must not be answered. */
  #isSilent = false;
  /** True when the ports are open and the first search for addresses is over. */
  #isStarted = false;
  #snapshot: UdpRelaySnapshot | null = null;
  #nextSnapshotAt = 0;
  #nextDropsAt = 0;
  #nextTouchAt = 0;
  #offload: Offload = offloadOf([]);
  /** True after a node has had its own rate. */
  #hadRates = false;
  #loggedDrops: Readonly<Record<string, number>> = {};

  /**
   * Takes the state directory and reads the state of the nodes; opens no port yet. Throws a TowpathError when another
   * process has the directory, unless this one replaces it, or a file cannot be used.
   */
  static open(config: PeerRelayConfig, parts: PeerRelayParts): PeerRelay {
    const lock = parts.isReplacing ? null : lockStateDirectory(config);
    try {
      return new PeerRelay(config, parts, lock);
    } catch (error) {
      lock?.release();
      throw error;
    }
  }

  private constructor(config: PeerRelayConfig, parts: PeerRelayParts, lock: DirectoryLock | null) {
    this.#lock = lock;
    this.#mostEndpoints = config.limits.endpoints;
    this.#config = config;
    this.#parts = parts;
    const { clock, log } = parts;
    this.#refusals = new EventSummary({ log, clock, verb: 'gave no endpoint for', noun: 'request' });
    this.#search = new AddressSearch({
      advertise: config.advertise,
      ports: () => this.#ports(),
      door: () => this.#door,
      transport: parts.transport,
      nonceOf: (port) => mappingNonce(this.#tailnets[0]!.node.state.machine, port),
      tailnetServers: () => this.#tailnets.flatMap(({ node }) => node.netmap.stunServers(parts.region)),
      clock,
      log,
      changed: () => this.#addressesChanged(),
    });
    const table = new RemoteEndpointTable(
      (command) => this.#command(command),
      () => this.#search.addresses.addresses,
      (nodes) => this.#ratesOf(nodes),
    );
    this.#table = table;
    const { limits, stateDirectory } = config;
    const refused = (reason: string, who: string): void => this.#refusals.add(reason, who);
    this.#tailnets = config.tailnets.map((tailnet) =>
      openRelayTailnet(tailnet, {
        ...parts,
        table,
        limits,
        stateDirectory,
        refused,
        facts: () => this.facts(),
        changed: () => this.#followAttributes(),
      }),
    );
  }

  /** Lets the nodes be reached by DERP. What they are asked before {@link start} is answered after it, or too late. */
  enter(): void {
    for (const { relay } of this.#tailnets) relay.open();
  }

  /**
   * Opens the ports and starts the nodes. A process that this one replaces must have ended. Throws a TowpathError when a
   * port cannot be opened.
   */
  async start(): Promise<void> {
    const { clock, log, openDoor, stun } = this.#parts;
    if (this.#lock === null) this.#takeDirectory();
    // Before the ports: to join a tailnet takes longer, and no client can request an endpoint before DERP is open.
    for (const { node } of this.#tailnets) node.start();
    const { limits, stateDirectory, ports, takenPorts } = this.#config;
    const earlier = takeState(stateDirectory, (problem) =>
      log.warn({ problem }, 'the endpoints of the process before cannot be used'),
    );
    const rules: UdpRelaySettings = { limits, state: earlier?.state ?? null, stateAgeMs: earlier?.ageMs ?? 0 };
    const offload = this.#offload;
    const settings = {
      places: relayPlaces(ports, stun.places),
      skipsTaken: takenPorts === 'skip',
      offload,
      stun: { limit: stun.limit, generic: stun.generic, exempt: stun.exempt },
      rules,
      endpoints: limits.endpoints,
    };
    try {
      this.#door = await openDoor(settings);
    } catch (error) {
      // The next start may find the ports free.
      if (earlier !== null) saveState(stateDirectory, earlier.state, Date.now() - earlier.ageMs);
      throw error;
    }
    this.#door.setSilent(this.#isSilent);
    // A network map with other attributes may have come meanwhile.
    if (offload !== this.#offload) this.#door.setOffload(this.#offload);
    await this.#search.start();
    this.#leaves.push(clock.onTick((now) => this.#tick(now)));
    await this.#takeSnapshot();
    const kept = this.#snapshot === null ? 0 : this.#snapshot.open + this.#snapshot.connecting;
    log.info(
      {
        how: this.#door.how,
        ports: this.#ports(),
        addresses: this.advertised.addresses,
        endpoints: kept,
        before: earlier?.state.endpoints.length ?? 0,
      },
      'the peer relay listens',
    );
    this.#takeOver(earlier?.state.endpoints ?? []);
    this.#isStarted = true;
    this.#addressesChanged();
  }

  /** Where the door listens; empty while it is closed. */
  get places(): readonly DoorPlace[] {
    return this.#door?.places ?? [];
  }

  get tailnets(): readonly RelayTailnet[] {
    return this.#tailnets;
  }

  /** The addresses that clients get, and when they were last found, in milliseconds since 1970. */
  get advertised(): Pick<AdvertisedAddresses, 'addresses' | 'foundAt' | 'sources'> {
    return this.#search.addresses;
  }

  /** The sum of what was forwarded, at most a second old. */
  get forwarded(): { readonly packets: number; readonly bytes: number } {
    return forwardedOf(this.#snapshot);
  }

  /** Returns the facts that the readiness of each tailnet depends on, in addition to its node. */
  facts(): ReadinessFacts {
    const snapshot = this.#snapshot;
    // Every datagram of a client that arrives for an endpoint is answered with a challenge first.
    const unreachedEndpoints = snapshot === null ? null : snapshot.challenges > 0 ? 0 : snapshot.allocations;
    const addresses = this.#isStarted ? this.advertised.addresses.length : null;
    return { addresses, unreachedEndpoints, now: Date.now() };
  }

  /** Returns the present counts and the chosen endpoints; null when the door is closed. */
  async snapshot(choice: SnapshotChoice): Promise<UdpRelaySnapshot | null> {
    const answer = await this.#command({ kind: 'snapshot', id: 0, ...choice }).catch(() => null);
    return answer?.kind === 'snapshot' ? answer.snapshot : null;
  }

  /** Returns why a node, or a pair of nodes, does not use the relay: see {@link explainUse}. */
  why(node: string, other: string | null): Promise<UseReport[]> {
    const { clock, router } = this.#parts;
    return explainUse(
      {
        tailnets: this.#tailnets,
        facts: this.facts(),
        snapshot: (choice) => this.snapshot(choice),
        now: clock.now,
        isConnected: (nodeKey) => (router.table.named(nodeKey)?.size ?? 0) > 0,
      },
      node,
      other,
    );
  }

  /**
   * Applies other limits and returns the limits in force: there is memory only for the endpoints of the start. The
   * caller checks whether another change needs a restart.
   */
  reload(wanted: PeerRelayLimitsConfig): PeerRelayLimitsConfig {
    const limits = { ...wanted, endpoints: Math.min(wanted.endpoints, this.#mostEndpoints) };
    this.#config = { ...this.#config, limits };
    for (const { node } of this.#tailnets) node.setLimits({ peers: limits.peers, mapBytes: limits.mapBytes });
    this.#door?.setLimits(limits);
    if (limits.endpoints < wanted.endpoints) {
      const fields = { wanted: wanted.endpoints, inForce: limits.endpoints };
      this.#parts.log.warn(fields, 'peerRelay.limits.endpoints can grow only with a restart');
    }
    return limits;
  }

  /**
   * Returns what each node key has sent and received through endpoints since the last call. Nodes that are gone are
   * left out.
   */
  async takeTraffic(): Promise<KeyTraffic[]> {
    const answer = await this.#command({ kind: 'traffic', id: 0 }).catch(() => null);
    if (answer?.kind !== 'traffic') return [];
    this.#followRates(answer.nodes.map(({ node }) => node));
    return answer.nodes.flatMap(({ node, sentBytes, sentPackets, receivedBytes, receivedPackets }): KeyTraffic[] => {
      const key = this.#keyOf(node);
      return key === null ? [] : [{ key: key.toString('hex'), sentBytes, sentPackets, receivedBytes, receivedPackets }];
    });
  }

  /** Ends the endpoints of a node key. */
  revoke(key: Buffer): void {
    for (const { relay } of this.#tailnets) relay.revoke(key);
  }

  /** Ends the endpoints of nodes that may not use the relay any more, for example because they are denied now. */
  endForbidden(): void {
    for (const { relay } of this.#tailnets) relay.endForbidden();
  }

  /** Stops answering STUN, for a reason that another part logs. With null it answers again. */
  setSilent(reason: string | null): void {
    this.#isSilent = reason !== null;
    this.#door?.setSilent(this.#isSilent);
  }

  /** Copies the present counts of STUN to the counters of the relay. */
  countStun(): void {
    if (this.#door !== null) countStun(this.#door.counts, this.#parts.counters);
  }

  /** Ends the nodes, leaves the endpoints on disk and closes the ports. */
  async stop(): Promise<void> {
    const { log } = this.#parts;
    // From here on the lack of ports and addresses is not a problem.
    this.#isStarted = false;
    for (const leave of this.#leaves.splice(0)) leave();
    this.#search.stop();
    for (const { relay } of this.#tailnets) relay.close();
    const nodes = Promise.all(this.#tailnets.map(({ node }) => node.stop()));
    const door = this.#door;
    try {
      const answer = door === null ? null : await this.#command({ kind: 'export', id: 0 });
      this.#door = null;
      await door?.close();
      if (answer?.kind === 'exported') saveState(this.#config.stateDirectory, answer.state);
    } catch (error) {
      log.warn({ error: errorMessage(error) }, 'the endpoints of the peer relay are lost: clients have to bind again');
      await door?.close();
    }
    await nodes;
    this.#refusals.close();
    this.#lock?.release();
  }

  /** The metrics of the peer relay, for the registry. */
  metrics(): MetricDefinition[] {
    return peerRelayMetrics({ snapshot: () => this.#snapshot, door: () => this.#door, tailnets: this.#tailnets });
  }

  /** Returns the open ports, in the order of the configuration. Port 0 has become another port. */
  #ports(): readonly number[] {
    const open = new Set(this.places.map(({ port }) => port));
    const { ports } = this.#config;
    return ports.includes(0) ? [...open] : ports.filter((port) => open.has(port));
  }

  /** Takes the directory of the process that has ended, and what it has changed there since this one read it. */
  #takeDirectory(): void {
    this.#lock = lockStateDirectory(this.#config);
    for (const { node, relay } of this.#tailnets) if (node.state.readAgain()) relay.keyChanged();
  }

  /** Gives the endpoints of the earlier process to the nodes that requested them. Ends those of removed tailnets. */
  #takeOver(endpoints: UdpRelayState['endpoints']): void {
    const strangers = new Set<string>();
    for (const { asker, sides } of endpoints) {
      const nodes = sides.map(({ node }) => node);
      for (const { relay } of this.#tailnets) relay.tookOver(asker, nodes);
      for (const name of [asker, ...nodes])
        if (name !== null && this.#tailnets.every(({ relay }) => relay.idOf(name) === null)) strangers.add(name);
    }
    if (strangers.size > 0) this.#table.revoke([...strangers]);
  }

  #keyOf(node: string): Buffer | null {
    for (const { relay } of this.#tailnets) {
      const key = relay.keyOf(node);
      if (key !== null) return key;
    }
    return null;
  }

  #ratesOf(nodes: readonly string[]): NodeRate[] {
    return nodes.map((node) => {
      const key = this.#keyOf(node);
      return { node, bytesPerSecond: key === null ? null : this.#parts.rateOf(key) };
    });
  }

  /** Tells the door the present rates of nodes: tiers and operators may have changed them. */
  #followRates(nodes: readonly string[]): void {
    const rates = this.#ratesOf(nodes);
    const hasRates = rates.some(({ bytesPerSecond }) => bytesPerSecond !== null);
    if (hasRates || this.#hadRates) this.#command({ kind: 'rates', rates }).catch(() => undefined);
    this.#hadRates ||= hasRates;
  }

  async #command(command: unknown): Promise<UdpRelayAnswer | null> {
    if (this.#door === null) throw new Error('the UDP door is closed');
    return (await this.#door.command(command)) as UdpRelayAnswer | null;
  }

  #tick(now: number): void {
    if (now >= this.#nextSnapshotAt) {
      this.#nextSnapshotAt = now + SNAPSHOT_MS;
      void this.#takeSnapshot();
    }
    if (now >= this.#nextTouchAt) {
      this.#nextTouchAt = now + TOUCH_MS;
      this.#touchLock();
    }
    if (now >= this.#nextDropsAt) {
      this.#nextDropsAt = now + DROPS_LOG_MS;
      this.#logDrops();
    }
  }

  #touchLock(): void {
    const { log, health } = this.#parts;
    const problem = this.#lock?.touch()
      ? null
      : `another process uses ${this.#config.stateDirectory}, or it cannot be written`;
    if (health.set('peer relay', problem) && problem !== null)
      log.error({ problem }, 'the peer relay cannot lock its state directory');
  }

  /** Whether a tailnet is ready depends on the addresses. */
  #addressesChanged(): void {
    for (const { node } of this.#tailnets) node.listener.changed();
  }

  /** Applies the node attributes of the tailnets, which may forbid to send or receive several datagrams at once. */
  #followAttributes(): void {
    const attributes = this.#tailnets.map(({ node }) => node.netmap.self?.attributes ?? new Set<string>());
    const offload = offloadOf(attributes);
    if (JSON.stringify(offload) === JSON.stringify(this.#offload)) return;
    this.#offload = offload;
    this.#door?.setOffload(offload);
    this.#parts.log.info({ offload }, 'node attributes of the tailnets changed the offload of UDP');
  }

  async #takeSnapshot(): Promise<void> {
    this.#snapshot = (await this.snapshot({ endpoints: 0 })) ?? this.#snapshot;
  }

  /** Logs what was dropped since the last line, if anything. */
  #logDrops(): void {
    const drops = this.#snapshot?.drops ?? {};
    const news = Object.entries(drops)
      .map(([reason, count]) => [reason, count - (this.#loggedDrops[reason] ?? 0)] as const)
      .filter(([, count]) => count > 0);
    this.#loggedDrops = drops;
    if (news.length > 0)
      this.#parts.log.info({ dropped: Object.fromEntries(news) }, 'the peer relay dropped datagrams');
  }
}
