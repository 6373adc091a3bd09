/**
 * One relay: everything that one thread needs to move packets between its clients. It takes plain data (settings,
 * admission verdicts, certificates) and returns plain data (counters, snapshots, events). It reads no files and no
 * configuration and serves no pages; the service (`service/`) does that. It uses its surroundings only through ports,
 * so it runs in the main thread, in another thread, and in a test.
 */
import { CLOCK_TICK_MS, SLOW_TICK_MS, type Clock } from '../base/clock.ts';
import { PrefixSet } from '../base/ip-prefix.ts';
import { WakeList } from '../base/wake-list.ts';
import { Counters, type RefusalReason } from '../observe/counters.ts';
import type {
  CertificatePair,
  Endpoint,
  Listener,
  ListenOptions,
  ServerTls,
  Stream,
  StreamHandler,
  Transport,
} from '../transport/port.ts';
import { upgradeResponseHead } from '../wire/handshake.ts';
import { nodeKeyPair, type NodeKeyPair } from '../wire/keys.ts';
import { DoorConnection } from './door/door-connection.ts';
import type { SharedPlaces } from './door/shared-places.ts';
import { SourceGuard } from './door/source-guard.ts';
import { FrontDoor, type DoorHandlers } from './door/front-door.ts';
import { CountedMemory } from './door/memory-limit.ts';
import type { KeyLimits } from './fairness/key-limits.ts';
import type { SharedUse } from './fairness/shared-use.ts';
import { sharedLimits } from './fairness/shares.ts';
import { ThreadShares } from './fairness/thread-shares.ts';
import { frontListener } from './front-listener.ts';
import { Mesh } from './mesh/mesh.ts';
import type { LinkEvent, LinkSnapshot } from './mesh/snapshot.ts';
import { Router } from './routing/router.ts';
import type { Admission } from './session/admission.ts';
import type { SessionReporter } from './session/context.ts';
import type { DrainPlan } from './session/drain.ts';
import { QueueSpace } from './session/frame-queue.ts';
import { LoopTurn } from './session/loop-turn.ts';
import type { KeyTraffic } from './session/key-traffic.ts';
import {
  Sessions,
  type KeyEnding,
  type KeyLimitsChange,
  type Reviewer,
  type SessionParts,
} from './session/sessions.ts';
import type { LiveSettings, RelaySettings } from './settings.ts';
import type { RelaySnapshot } from './snapshot.ts';
import { LocalOrder, type EventOrder } from './routing/event-order.ts';
import { ThreadLinks } from './threads/thread-links.ts';

/** Events of a relay that the service logs or decides on. All arguments are plain data. */
export interface RelayEvents extends SessionReporter {
  /** A listener cannot accept for now. */
  listenerError(error: Error): void;
  /** A link to another relay of the region was opened, failed or ended. */
  link(event: LinkEvent): void;
  /** Why there is no memory for more clients; null: there is. Called at each check. */
  memory(problem: string | null): void;
}

/** The parts of the process that a relay uses. */
export interface RelayPorts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly admission: Admission;
  /** Takes a connection whose first request is not for DERP; see {@link DoorHandlers.http}. */
  readonly http: DoorHandlers['http'];
  readonly events: RelayEvents;
  /** Resident memory of the process, in bytes. */
  readonly residentBytes: () => number;
  /** The order of events that it shares with the relays of other threads; null when it is the only one. */
  readonly sharedOrder?: EventOrder | null;
  /** What each thread uses of what is limited for all of them; null when it is the only one. */
  readonly sharedUse?: SharedUse | null;
  /** The connection counts of all threads by source; null when it is the only one. */
  readonly sharedPlaces?: SharedPlaces | null;
}

/** One relay thread: its connections, and the packets between them. It reads no file and no configuration. */
export class Relay {
  readonly counters: Counters = new Counters();
  /** Decides on connections before anything is spent on them, of this relay and of the service's port for HTTP. */
  readonly guard: SourceGuard;
  /** Nodes in this process receive packets by it, and send. */
  readonly router: Router;
  /** The relays of the other threads; null when this is the only one. */
  readonly threads: ThreadLinks | null;
  readonly #turn = new LoopTurn();
  readonly #settings: RelaySettings;
  readonly #ports: RelayPorts;
  readonly #wakes = new WakeList();
  readonly #mesh: Mesh;
  readonly #sessions: Sessions;
  readonly #space: QueueSpace;
  readonly #upgradeHead: string;
  readonly #door: FrontDoor;
  readonly #listeners: Listener[] = [];
  readonly #stopTicking: () => void;
  /** Null when this thread is the only one. */
  readonly #shares: ThreadShares | null;
  #keyLimits: KeyLimits | null = null;
  #live: LiveSettings;
  /** Packets and connections that had come at the last tick. */
  #seen = 0;

  /** Opens no port yet. */
  constructor(settings: RelaySettings, ports: RelayPorts) {
    this.#settings = settings;
    this.#live = settings.live;
    this.#ports = ports;
    const { clock, events } = ports;
    const { counters } = this;
    const space = new QueueSpace(settings.totalQueueBytes);
    this.#space = space;
    this.guard = this.#buildGuard(space);
    const order = ports.sharedOrder ?? null;
    this.router = new Router(counters, settings.live.duplicates, settings.limits, order ?? new LocalOrder());
    this.threads = order === null ? null : this.#joinThreads(order);
    const keyPair = nodeKeyPair(Buffer.from(settings.privateKey));
    this.#upgradeHead = upgradeResponseHead(keyPair.publicKey);
    this.#sessions = new Sessions(this.#sessionParts(keyPair, space));
    this.#mesh = new Mesh(settings.live.mesh, {
      ...{ clock, counters, keyPair, space },
      transport: ports.transport,
      router: this.router,
      turn: this.#turn,
      queueMs: settings.limits.queueMs,
      happened: (event) => events.link(event),
    });
    this.#door = this.#buildDoor();
    this.#shares = this.#shareWithThreads(space);
    this.#stopTicking = clock.onTick((now) => this.#tick(now), SLOW_TICK_MS);
  }

  /** Sessions of all states. */
  get sessionCount(): number {
    return this.#sessions.count;
  }

  /** Memory of what waits to be written to clients and other relays, in bytes. */
  get queuedBytes(): number {
    return this.#shares?.queuedBytes ?? this.#settings.totalQueueBytes - this.#space.freeBytes;
  }

  /** Addresses on which it listens for DERP. */
  get addresses(): readonly Endpoint[] {
    return this.#listeners.map((listener) => listener.address);
  }

  /**
   * Listens for DERP at `place`, with TLS where there is a certificate. `challenge`: see {@link ServerTls}. Rejects with a
   * TowpathError when the address cannot be used.
   */
  async listen(
    place: Pick<ListenOptions, 'ip' | 'port' | 'fd'>,
    certificate: CertificatePair | null,
    challenge?: ServerTls['challenge'],
  ): Promise<void> {
    const { front, threads } = this.#settings;
    const tls = certificate === null ? null : { certificate, handshakeTimeoutMs: front.tlsHandshakeMs, challenge };
    this.#listeners.push(
      await this.#ports.transport.listen(
        { ...place, ...frontListener(front, tls), reusePort: threads > 1 },
        this.#door,
      ),
    );
  }

  /** Connects to the other relays of the region. Called once this relay accepts connections. */
  joinRegion(): void {
    this.#mesh.start();
  }

  /** Uses this certificate for new connections. */
  replaceCertificate(pair: CertificatePair): void {
    for (const listener of this.#listeners) listener.replaceCertificate(pair);
  }

  /** Applies settings that may change while the relay runs. */
  apply(live: LiveSettings): void {
    const { duplicates, deniedApps, fairness } = live;
    this.#sessions.setMeshKeys(meshKeys(live));
    this.#mesh.apply(live.mesh);
    const before = this.#live.fairness;
    this.#live = live;
    this.router.duplicatePolicy = duplicates;
    this.#sessions.setDeniedApps(new Set(deniedApps));
    // A reload without changes must not fill the buckets of clients that are at their limit.
    if (JSON.stringify(fairness) === JSON.stringify(before)) return;
    const limits = sharedLimits(fairness, this.#wakes, this.#settings.threads);
    this.#useLimits(limits.keyLimits);
    this.#sessions.setLimits(limits);
  }

  /** Starts a DERP connection on a stream after its upgrade request; returns the stream's handler. */
  startSession(stream: Stream, facts: { readonly fastStart: boolean; readonly notIdeal: boolean }): StreamHandler {
    const { fastStart, notIdeal } = facts;
    return this.#sessions.start(stream, { notIdeal, isWebSocket: false }, fastStart ? '' : this.#upgradeHead);
  }

  /** The same on a stream of WebSocket messages. */
  startWebSocketSession(stream: Stream): StreamHandler {
    this.counters.websocketAccepts++;
    return this.#sessions.start(stream, { notIdeal: false, isWebSocket: true }, '');
  }

  /** Counts and reports a refused connection. The service also calls it for connections that it refused itself. */
  refused(reason: RefusalReason, remote: Endpoint, key: Buffer | null, detail: string): void {
    this.counters.refusals[reason]++;
    this.guard.misbehaved(remote.ip, reason);
    this.#ports.events.refused(reason, remote, key, detail);
  }

  /** Returns counters and state as plain data. */
  snapshot(): RelaySnapshot {
    return {
      counters: structuredClone(this.counters),
      sessions: [...this.#sessions.snapshots()],
      links: this.links(),
    };
  }

  /** Links to the other relays of the region, as plain data. */
  links(): readonly LinkSnapshot[] {
    return this.#mesh.snapshot();
  }

  /** Returns the traffic of each key since the last call, as plain data; keys without traffic are left out. */
  takeTraffic(): KeyTraffic[] {
    return this.#sessions.takeTraffic();
  }

  /** Sets other limits of some keys for their open connections. New connections get them with their verdict. */
  setKeyLimits(changes: readonly KeyLimitsChange[]): void {
    this.#sessions.setKeyLimits(changes);
  }

  /** Ends the open connections of some keys. Returns how many. */
  endKeys(endings: readonly KeyEnding[]): number {
    return this.#sessions.endKeys(endings);
  }

  /** Tells the clients when to reconnect, and ends all sessions within the time. */
  async drain(plan: DrainPlan): Promise<void> {
    await this.#sessions.drain(plan);
  }

  /** Asks `reviewer` about each open connection again; see {@link Sessions.review}. */
  async review(reviewer: Reviewer, failed: (error: unknown) => void): Promise<void> {
    await this.#sessions.review(reviewer, failed);
  }

  /** Stops listening; open connections stay. */
  async closePorts(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }

  /** Ends all connections. */
  close(): void {
    this.#stopTicking();
    this.#sessions.close();
    this.threads?.close();
    this.#shares?.close();
    this.#mesh.close();
    this.#door.close();
    this.guard.close();
  }

  /** While packets or connections come, the clock ticks fast: what they may use up is looked at soon. */
  #tick(now: number): void {
    const { packetsReceived, tcpAccepts } = this.counters;
    const seen = packetsReceived + tcpAccepts;
    if (seen !== this.#seen) this.#ports.clock.tickBy(now + CLOCK_TICK_MS);
    this.#seen = seen;
    this.#tellKeyUses();
  }

  #joinThreads(order: EventOrder): ThreadLinks {
    const { rates } = this.guard;
    const { clock } = this.#ports;
    const threads = new ThreadLinks({
      ...{ router: this.router, turn: this.#turn, counters: this.counters, order },
      sourceEvent: (event, path) => rates.countElsewhere(event, path, clock.now),
      keyUsed: (key, [bytes = 0, level = 0, bytesPerSecond = 0, burstBytes = 0]) => {
        const use = { bytes, level, rate: { bytesPerSecond, burstBytes } };
        this.#keyLimits?.usedElsewhere(key.toString('latin1'), use, clock.readNow());
      },
    });
    rates.listener = (event, path) => threads.tellSourceEvent(event, path);
    return threads;
  }

  /** These limits hold from now on, for the keys of this thread together with what they use in others. */
  #useLimits(keyLimits: KeyLimits): void {
    const { threads } = this;
    this.#keyLimits = keyLimits;
    if (threads === null) return;
    keyLimits.listener = (name, { bytes, level, rate }) => {
      const numbers = Float64Array.of(bytes, level, rate.bytesPerSecond, rate.burstBytes);
      threads.tellKeyUse(Buffer.from(name, 'latin1'), numbers);
    };
  }

  /** Tells the other threads what the keys have used that are connected to them, too. */
  #tellKeyUses(): void {
    if (this.threads === null || this.counters.duplicateKeys === 0) return;
    const now = this.#ports.clock.readNow();
    for (const key of this.threads.sharedKeys()) this.#keyLimits?.tellUse(key.toString('latin1'), now);
  }

  #shareWithThreads(space: QueueSpace): ThreadShares | null {
    const { clock, sharedUse: use } = this.#ports;
    if (use === undefined || use === null) return null;
    const totalBytesPerSecond = (): number => this.#live.fairness.totalBytesPerSecond;
    const queueBytes = this.#settings.totalQueueBytes;
    return new ThreadShares({
      use,
      clock,
      space,
      queueBytes,
      totalBytesPerSecond,
      share: () => this.#keyLimits?.share ?? null,
    });
  }

  #buildGuard(space: QueueSpace): SourceGuard {
    const { guard, memoryBytes, totalQueueBytes } = this.#settings;
    const { transport, residentBytes, events, clock, sharedPlaces } = this.#ports;
    const memory = new CountedMemory({
      limitBytes: memoryBytes,
      connectionBytes: transport.connectionBytes,
      queuedBytes: () => totalQueueBytes - space.freeBytes,
      residentBytes,
      judged: (problem) => events.memory(problem),
    });
    return new SourceGuard({ ...guard, exempt: new PrefixSet(guard.exempt) }, clock, memory, sharedPlaces);
  }

  #sessionParts(keyPair: NodeKeyPair, space: QueueSpace): SessionParts {
    const { limits, live } = this.#settings;
    const { clock, admission, events } = this.#ports;
    const shared = sharedLimits(live.fairness, this.#wakes, this.#settings.threads);
    this.#useLimits(shared.keyLimits);
    return {
      clock,
      counters: this.counters,
      turn: this.#turn,
      space,
      wakes: this.#wakes,
      router: this.router,
      admission,
      deniedApps: new Set(live.deniedApps),
      limits,
      keyPair,
      reporter: {
        refused: (reason, remote, key, detail) => this.refused(reason, remote, key, detail),
        opened: (remote, key, app) => events.opened(remote, key, app),
        closed: (remote, key, reason) => events.closed(remote, key, reason),
      },
      mayOpen: ({ connection }, isMesh) =>
        connection instanceof DoorConnection ? connection.established(isMesh) : null,
      meshKeys: meshKeys(live),
      ...shared,
    };
  }

  #buildDoor(): FrontDoor {
    const { limits, proxies } = this.#settings;
    const { clock, http, events } = this.#ports;
    const trusted = new PrefixSet(proxies?.trusted ?? []);
    return new FrontDoor({
      handlers: {
        derp: (stream, facts) => this.startSession(stream, facts),
        http,
        refused: (reason, remote, detail) => this.refused(reason, remote, null, detail),
      },
      limits,
      clock,
      counters: this.counters,
      guard: this.guard,
      proxies: proxies === null ? null : { ...proxies, isTrusted: (ip) => trusted.has(ip) },
      onListenerError: (error) => events.listenerError(error),
    });
  }
}

/** Returns the accepted mesh keys as buffers: messages between threads turn them into plain arrays. */
function meshKeys({ mesh }: LiveSettings): Buffer[] {
  return mesh.keys.map((key) => Buffer.from(key));
}
