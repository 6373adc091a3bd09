/**
 * The service: what there is once per process. It owns key, certificate, admission and the pages, opens the ports, and
 * gives the relay (`relay/`) what it needs as plain data. It starts, reloads, drains and closes.
 */
import type { Logger } from 'pino';
import { Clock, SLOW_TICK_MS } from '../base/clock.ts';
import { errorMessage } from '../base/errors.ts';
import { ResidentMemory } from '../base/resident-memory.ts';
import { proxyCertificate } from '../certificates/proxy-certificate.ts';
import { openCertificateSource } from '../certificates/open.ts';
import type { CertificateSource } from '../certificates/source.ts';
import { changedKeys } from '../config/changed-keys.ts';
import type { Config } from '../config/schema.ts';
import { loadHomePage } from '../http/home-page.ts';
import type { Counters } from '../observe/counters.ts';
import { Health } from '../observe/health.ts';
import { Relay } from '../relay/relay.ts';
import type { DoorPlace } from '../relay/udp/door-places.ts';
import type { UdpDoor, UdpDoorSettings } from '../relay/udp/door.ts';
import { openUdpDoor } from '../relay/udp/open-door.ts';
import type { Transport } from '../transport/port.ts';
import type { NodeKeyPair } from '../wire/keys.ts';
import { AdminDoor } from './admin-door.ts';
import { AdminToken } from './admin-token.ts';
import { AdmissionService } from './admission.ts';
import { Clients } from './clients.ts';
import { shutdownStep } from './shutdown-step.ts';
import { Descriptors, ProcessDescriptors } from './descriptors.ts';
import { type InheritedSockets, NO_SOCKETS } from './inherited-sockets.ts';
import { loadOrCreateKeyFile, type KeyFile } from './key-file.ts';
import { naming } from './listen-keys.ts';
import { listenPlaces } from './listen-places.ts';
import { Listeners, type RelayAddresses } from './listeners.ts';
import { Liveness } from './liveness.ts';
import { PeerRelay } from './peer-relay/peer-relay.ts';
import { PublicHttp } from './public-http.ts';
import { RelayLog } from './relay-log.ts';
import { liveSettings, relaySettings, stunSettings } from './relay-settings.ts';
import { StunDoor } from './stun-door.ts';
import { withLimit } from './status/limit-table.ts';
import { ReloadState } from './reload-state.ts';
import { restartKeys, type ReloadedKeys } from './restart-keys.ts';
import { ServiceApi } from './status/service-api.ts';
import { openThreads, threadCount } from './threads/open.ts';
import type { RelayThreads } from './threads/relay-threads.ts';
import { mainThreadState } from './threads/thread-state.ts';
import { createThreadMemory, sharedPorts, type ThreadMemory } from './threads/shared-memory.ts';

/** The drain may take this much longer than its time, for a loop that is behind. */
const DRAIN_GRACE_MS = 1000;

/** How the process was started. */
export interface ServiceOptions {
  /** Sockets that a service manager or the previous process opened. */
  readonly inherited?: InheritedSockets;
  /** Why several threads cannot share the inherited sockets; null when they can. */
  readonly unshared?: string | null;
  /** True: the process takes over from another one, which still runs. */
  readonly isReplacing?: boolean;
}

/** A relay with everything around it: configuration, key, certificate, admission, ports and administration. */
export class Service {
  readonly keyPair: NodeKeyPair;
  /** True when there was no key file and this start made it. */
  readonly isKeyNew: boolean;
  readonly certificate: CertificateSource;
  readonly health: Health = new Health();
  /** The data and the actions of the admin listener. */
  readonly api: ServiceApi;
  /** Whether the last reload succeeded; set by the reader of the configuration. */
  readonly reloads: ReloadState = new ReloadState(Date.now());
  readonly #clock = new Clock();
  readonly #transport: Transport;
  readonly #log: Logger;
  readonly #memory = new ResidentMemory();
  readonly #relayLog: RelayLog;
  readonly #admission: AdmissionService;
  /** The facts about the clients by their keys. */
  readonly clients: Clients;
  readonly #relay: Relay;
  /** All relay threads, that of {@link #relay} included; null when it is the only one. */
  readonly threads: RelayThreads | null;
  /** Null: no tailnet is configured. */
  readonly #peerRelay: PeerRelay | null;
  /** Null: there is a peer relay, which answers STUN. */
  readonly #stunDoor: StunDoor | null;
  readonly #inherited: InheritedSockets;
  readonly #isReplacing: boolean;
  readonly #adminToken: AdminToken;
  readonly #liveness: Liveness;
  readonly #publicHttp: PublicHttp;
  #adminDoor: AdminDoor | null = null;
  readonly #listeners: Listeners;
  #descriptors: Descriptors | null = null;
  #config: Config;
  /** The configuration that was read last, with changes that wait for a restart. */
  #readConfig: Config;

  /** Reads key and certificate; opens no port yet. Throws a TowpathError when a file is unusable. */
  constructor(config: Config, transport: Transport, log: Logger, options: ServiceOptions = {}) {
    const { inherited = NO_SOCKETS, unshared = null, isReplacing = false } = options;
    this.#config = config;
    this.#inherited = inherited;
    this.#readConfig = config;
    this.#transport = transport;
    this.#log = log;
    const clock = this.#clock;
    const { keyPair, created } = loadKey(config, log);
    this.keyPair = keyPair;
    this.isKeyNew = created;
    this.certificate = this.#openCertificate();
    this.#relayLog = new RelayLog({
      ...{ log, clock, health: this.health },
      clients: () => this.clients,
      api: () => this.api,
      liveness: () => this.#liveness,
    });
    this.#admission = new AdmissionService(config.admission, { clock, log, health: this.health });
    this.clients = new Clients(config, {
      admission: this.#admission,
      relay: () => this.#all,
      peerRelay: () => this.#peerRelay,
      clock,
      log,
      health: this.health,
      publicKey: this.keyPair.publicKey,
    });
    const threads = threadCount(config, unshared, log);
    const memory = createThreadMemory(threads);
    this.#relay = new Relay(relaySettings(config, this.keyPair, threads), {
      transport,
      clock,
      admission: this.clients,
      http: (...connection) => this.#publicHttp.front(...connection),
      events: this.#relayLog,
      residentBytes: () => this.#memory.bytes,
      ...sharedPorts(memory, 0),
    });
    this.threads = memory === null ? null : this.#createThreads(threads, memory);
    const hasPeerRelay = config.peerRelay.tailnets.length > 0;
    this.#isReplacing = isReplacing;
    this.#peerRelay = hasPeerRelay ? this.#createPeerRelay() : null;
    this.#admission.onReviewed(() => this.#peerRelay?.endForbidden());
    this.#stunDoor = hasPeerRelay ? null : this.#createStunDoor();
    this.#clock.onTick(() => this.#countStun(), SLOW_TICK_MS);
    this.#adminToken = new AdminToken(config.admin, process.env);
    this.api = this.#createApi();
    this.#liveness = this.#createLiveness();
    this.#publicHttp = new PublicHttp(config, {
      ...{ clock, relay: this.#relay, certificate: this.certificate, counters: this.ownCounters },
      config: () => this.#config,
      onListenerError: (error) => this.#liveness.listenerError(error),
    });
    this.#listeners = new Listeners(transport, inherited, {
      relay: this.#relay,
      http: this.#publicHttp.port80,
      admin: () => (this.#adminDoor = this.#openAdminDoor()).door,
    });
    this.certificate.onChange((pair) => {
      this.#all.replaceCertificate(pair);
      this.#listeners.replaceAdminCertificate(pair);
    });
  }

  /** The counts of all threads, for reading. The object stays the same. */
  get counters(): Counters {
    this.#countStun();
    return this.#all.counters;
  }

  /** The counters of the main thread, for parts that count in it. */
  get ownCounters(): Counters {
    return this.#relay.counters;
  }

  get #all(): Relay | RelayThreads {
    return this.threads ?? this.#relay;
  }

  /** Number of sessions in all states. */
  get sessionCount(): number {
    return this.#all.sessionCount;
  }

  /** Longest time of the drain in milliseconds. */
  get drainMs(): number {
    return this.#config.drain.seconds * 1000 + DRAIN_GRACE_MS;
  }

  /** Admits `key` without the admission sources, for the self-test. Returns a function that ends this. */
  exempt(key: Buffer): () => void {
    return this.#admission.exempt(key);
  }

  /**
   * Opens the ports of clients, waits for `clientsMayCome`, and opens those of the administration and of the peer relay, which
   * the previous process has until then. When one of them cannot be opened, the others are closed again.
   */
  async start(clientsMayCome: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    const config = this.#config;
    this.#clock.start();
    try {
      this.#peerRelay?.enter();
      // Bound pairs wait for nothing else after a restart.
      if (!this.#isReplacing) await this.#peerRelay?.start();
      await this.#admission.start(this.#all);
      await this.clients.start();
      const tls = config.transport === 'tls' ? this.#serverTls() : null;
      await this.#listeners.openFront(config, tls, this.threads !== null);
      await this.#openStun();
      await this.threads?.start(this.#listeners.derpPlaces);
      this.#relay.joinRegion();
      this.#descriptors = this.#watchDescriptors();
      this.#liveness.check();
      this.#publicHttp.start();
      await clientsMayCome();
      if (this.#isReplacing) await this.#peerRelay?.start();
      await this.#listeners.openAdmin(config, tls);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** The real addresses of the open ports, those of the peer relay included. */
  get addresses(): RelayAddresses {
    const { addresses } = this.#listeners;
    return { ...addresses, stun: this.#udp.places.map(({ ip, port }) => ({ ip, port })) };
  }

  /** Reads the certificate again, whether its files seem changed or not, and logs what it found. */
  reloadFiles(): void {
    this.certificate.reload();
    this.#admission.reloadFiles();
    try {
      this.#adminToken.reload();
    } catch (error) {
      this.#log.error({ error: errorMessage(error) }, 'the old admin token stays in use');
    }
  }

  /**
   * Applies the parts that may change while the relay runs: admission, rate limits and tiers, home page, duplicate
   * policy, mesh, limits of the peer relay. Throws a TowpathError, and changes nothing, when a file cannot be used.
   */
  reload(config: Config): ReloadedKeys {
    const changed = changedKeys(this.#readConfig, config);
    const before = this.#config;
    const homePage = loadHomePage(config.home);
    const live = liveSettings(config);
    if (JSON.stringify(config.admission) !== JSON.stringify(before.admission))
      this.#admission.replace(config.admission);
    this.#publicHttp.setHome(homePage);
    this.#all.apply(live);
    this.threads?.setHome(config.home);
    const { home, duplicates, fairness, admission, mesh } = config;
    const limits = this.#peerRelay?.reload(config.peerRelay.limits) ?? config.peerRelay.limits;
    const peerRelay = { ...before.peerRelay, limits };
    this.#config = { ...before, home, duplicates, fairness, admission, mesh, peerRelay };
    this.#readConfig = config;
    this.clients.reload(this.#config);
    // The sessions of the other threads are known a moment later.
    void this.threads?.refreshSessions().then(() => this.clients.reload(this.#config));
    this.api.reloaded();
    return { changed, restart: restartKeys(this.#config, config) };
  }

  /** Ends the open connections of a key of 32 bytes; resolves with how many there were. The client may connect again. */
  disconnect(key: Buffer): Promise<number> {
    this.clients.announce({ kind: 'disconnect', key: key.toString('hex') });
    return this.clients.disconnect(key);
  }

  /**
   * Stops accepting, tells the clients, and closes their connections within the drain time. A peer relay goes on; it answers
   * STUN too when the relay is replaced by a process (`isReplaced`) that waits for its ports.
   */
  async drain(isReplaced = false): Promise<void> {
    const { drain } = this.#config;
    await this.#closing('ports of the relay', () => this.#closeFront());
    if (!isReplaced) this.#silenceStun('the relay ends');
    await shutdownStep('drain', () => this.#all.drain(drain), this.#log, this.drainMs);
  }

  /** Closes everything that is still open. Each step has a time limit, and none keeps another from being done. */
  async close(): Promise<void> {
    await this.#closing('ports of the relay', () => this.#closeFront());
    await this.#closing('connections', () => this.#closeConnections());
    await this.#closing('administration', () => this.#listeners.closeAdmin());
    await this.#closing('bootstrap DNS', () => this.#publicHttp.stop());
    await this.#closing('clients', () => this.clients.stop());
    await this.#closing('admission', () => this.#admission.stop());
    await this.#closing('certificate', () => this.certificate.stop());
    // Last, so that pairs wait no longer than the next process needs for its start.
    await this.#closing('peer relay', () => this.#peerRelay?.stop());
    for (const part of [this.api, this.#relayLog, this.#liveness, this.#descriptors, this.#memory]) part?.close();
    this.#clock.stop();
  }

  async #closeFront(): Promise<void> {
    await Promise.all([this.#listeners.closeFront(), this.threads?.closePorts(), this.#stunDoor?.close()]);
  }

  async #closing(what: string, step: () => unknown): Promise<void> {
    await shutdownStep(what, step, this.#log);
  }

  #silenceStun(reason: string | null): void {
    this.#udp.setSilent(reason);
  }

  /** The part that has the UDP door. */
  get #udp(): PeerRelay | StunDoor {
    return this.#peerRelay ?? this.#stunDoor!;
  }

  #countStun(): void {
    this.#udp.countStun();
  }

  /** Opens the ports of STUN that are not those of the peer relay. */
  async #openStun(): Promise<void> {
    const door = this.#stunDoor;
    if (door === null) return;
    const places = this.#stunPlaces();
    const isInherited = this.#inherited.stun.length > 0;
    await naming('stun', isInherited, () => door.open(places, stunSettings(this.#config)));
  }

  #stunPlaces(): readonly DoorPlace[] {
    return listenPlaces(this.#inherited.stun, this.#config.stun.listen);
  }

  #openDoor(settings: UdpDoorSettings): Promise<UdpDoor> {
    return openUdpDoor(settings, { transport: this.#transport, clock: this.#clock, log: this.#log });
  }

  #createLiveness(): Liveness {
    const log = this.#log;
    return new Liveness({
      clock: this.#clock,
      health: this.health,
      stun: { setSilent: (reason) => this.#silenceStun(reason) },
      certificate: this.#config.transport === 'tls' ? () => this.certificate.info() : null,
      changed: (reason) => {
        if (reason === null) log.info('STUN answers again');
        else log.error({ reason }, 'STUN does not answer, so that clients do not choose this relay now');
      },
    });
  }

  #createStunDoor(): StunDoor {
    return new StunDoor({ counters: this.ownCounters, openDoor: (settings) => this.#openDoor(settings) });
  }

  #createPeerRelay(): PeerRelay {
    const { peerRelay, region } = this.#config;
    const [transport, clock, log] = [this.#transport, this.#clock, this.#log];
    return PeerRelay.open(peerRelay, {
      router: this.#relay.router,
      clock,
      log,
      health: this.health,
      counters: this.ownCounters,
      region: region.id,
      stun: { places: this.#stunPlaces(), ...stunSettings(this.#config) },
      transport,
      isOverQuota: (key) => this.clients.isOverQuota(key.toString('hex')),
      isDenied: (key) => this.#admission.isDenied(key.toString('hex')),
      rateOf: (key) => this.clients.udpRate(key.toString('hex')),
      openDoor: (settings) => this.#openDoor(settings),
      isReplacing: this.#isReplacing,
      environment: process.env,
    });
  }

  #createApi(): ServiceApi {
    return new ServiceApi({
      clock: this.#clock,
      log: this.#log,
      health: this.health,
      publicKey: this.keyPair.publicKey,
      runtime: this.#runtime,
      config: () => this.#config,
      counters: () => this.counters,
      sessions: () => this.#all.snapshot().sessions,
      links: () => this.#relay.links(),
      threads: () => this.threads?.states() ?? [mainThreadState(this.#relay)],
      addresses: () => this.addresses,
      certificate: () => this.certificate.info(),
      admission: this.#admission,
      clients: this.clients,
      peerRelay: this.#peerRelay,
      residentBytes: () => this.#memory.bytes,
      disconnect: (key) => this.disconnect(key),
      setKeyRate: (key, bytesPerSecond) => {
        this.clients.setRate(key, bytesPerSecond);
        void this.threads?.refreshSessions().then(() => this.clients.reload(this.#config));
      },
      setLimit: (name, value) => {
        this.#config = withLimit(this.#config, name, value, this.#readConfig);
        this.#all.apply(liveSettings(this.#config));
        this.clients.reload(this.#config);
      },
    });
  }

  get #runtime(): string {
    return `${this.#transport.runtime} ${process.versions[this.#transport.runtime] ?? ''}`;
  }

  async #closeConnections(): Promise<void> {
    this.#relay.close();
    await this.threads?.close();
    this.#publicHttp.closeConnections();
    this.#adminDoor?.closeConnections();
  }

  #openCertificate(): CertificateSource {
    const { transport, certificate, listen, publicIp, http } = this.#config;
    if (transport === 'plain') return proxyCertificate(certificate.names);
    return openCertificateSource(
      { ...certificate, listenIps: listen.map(({ ip }) => ip), publicIp },
      {
        serverPublicKey: this.keyPair.publicKey,
        clock: this.#clock,
        log: this.#log,
        health: this.health,
        answersHttp: http.length > 0,
      },
    );
  }

  #createThreads(count: number, memory: ThreadMemory): RelayThreads {
    return openThreads(count, {
      relay: this.#relay,
      memory,
      settings: () => relaySettings(this.#config, this.keyPair, count),
      config: () => this.#config,
      admission: this.clients,
      certificate: this.certificate,
      events: this.#relayLog,
      clock: this.#clock,
      log: this.#log,
    });
  }

  #watchDescriptors(): Descriptors {
    return new Descriptors({
      table: new ProcessDescriptors(),
      connections: this.#config.limits.connections,
      bounded: this.threads ?? this.#relay.guard,
      clock: this.#clock,
      log: this.#log,
      health: this.health,
    });
  }

  #serverTls(): Parameters<Listeners['openFront']>[1] {
    return { certificate: this.certificate.current(), challenge: this.certificate.challenges?.alpnCertificate };
  }

  #openAdminDoor(): AdminDoor {
    return new AdminDoor(this.#config.admin, {
      clock: this.#clock,
      health: this.health,
      runtime: this.#runtime,
      token: this.#adminToken,
      api: this.api,
      relay: this.#relay,
      counters: this.counters,
      certificate: this.certificate,
      admission: this.#admission,
      peerRelay: this.#peerRelay,
      bootstrapDnsQueriedNames: () => this.#publicHttp.queriedNames,
      metrics: () => [...this.reloads.metrics(), ...this.clients.metrics(), ...(this.threads?.metrics() ?? [])],
      onListenerError: (error) => this.#liveness.listenerError(error),
    });
  }
}

function loadKey({ keyFile }: Config, log: Logger): KeyFile {
  const key = loadOrCreateKeyFile(keyFile);
  for (const warning of key.warnings) log.warn({ file: keyFile }, warning);
  if (key.created) log.info({ file: keyFile }, 'made a new private key');
  return key;
}
