import type { Server } from 'node:http';
import type { Logger } from 'pino';
import { proxyCertificate } from '../certificates/proxy-certificate.ts';
import { openCertificateSource } from '../certificates/open.ts';
import type { CertificateSource } from '../certificates/source.ts';
import { Clock } from '../base/clock.ts';
import { loadOrCreateKeyFile } from './key-file.ts';
import type { Config } from '../config/schema.ts';
import { systemErrorCode } from '../base/errors.ts';
import { WakeList } from '../base/wake-list.ts';
import { createAdminHandler } from '../http/admin.ts';
import { BootstrapDns } from '../http/bootstrap-dns.ts';
import { loadHomePage } from '../http/home-page.ts';
import { createRelayHttpHandler, type RelayHttp } from '../http/relay-handler.ts';
import { createHttpServer } from '../http/server.ts';
import type { SourceGuard } from '../relay/door/door-guard.ts';
import { DoorConnection } from '../relay/door/door-connection.ts';
import { FrontDoor, type DoorHandlers } from '../relay/door/front-door.ts';
import { CountedMemory } from '../relay/door/memory-limit.ts';
import { StunServer } from '../relay/udp/stun-server.ts';
import { Counters } from '../observe/counters.ts';
import { EventSummary } from '../observe/event-summary.ts';
import { Health } from '../observe/health.ts';
import { createMetrics } from '../observe/metrics.ts';
import { Router } from '../relay/routing/router.ts';
import { QueueSpace } from '../relay/session/frame-queue.ts';
import { LoopTurn } from '../relay/session/loop-turn.ts';
import { Sessions, type SessionParts } from '../relay/session/sessions.ts';
import type { ServerTls, Transport } from '../transport/port.ts';
import { VERSION } from '../base/version.ts';
import type { NodeKeyPair } from '../wire/keys.ts';
import { AdmissionService } from './admission.ts';
import { shutdownStep } from './shutdown-step.ts';
import { Descriptors, ProcessDescriptors } from './descriptors.ts';
import { buildGuard, frontProxies, keepAlivePeriods, memoryLimitBytes, stunLimits } from './exposure.ts';
import { HttpDoor } from './http-door.ts';
import { HttpConnections } from './http-connections.ts';
import { type InheritedSockets, NO_SOCKETS } from './inherited-sockets.ts';
import { Listeners, type RelayAddresses } from './listeners.ts';
import { Liveness } from './liveness.ts';
import { Refusals } from './refusals.ts';
import { ResidentMemory } from '../base/resident-memory.ts';
import { createDoorHandlers, isRequestAllowed } from './door-handlers.ts';
import { sharedLimits } from './shares.ts';

/** The administration serves a handful of scrapers. */
const ADMIN_CONNECTIONS = 64;
/** The drain may take this much longer than its time, for a loop that is behind. */
const DRAIN_GRACE_MS = 1000;

/** One relay, put together from its configuration: start, reload, drain, close. */
export class Relay {
  readonly counters: Counters = new Counters();
  readonly keyPair: NodeKeyPair;
  readonly certificate: CertificateSource;
  readonly health: Health = new Health();
  readonly #clock = new Clock();
  readonly #transport: Transport;
  readonly #sessions: Sessions;
  readonly #admission: AdmissionService;
  readonly #router: Router;
  readonly #wakes = new WakeList();
  readonly #memory = new ResidentMemory();
  readonly #space: QueueSpace;
  readonly #guard: SourceGuard;
  readonly #liveness: Liveness;
  readonly #refusals: Refusals;
  readonly #summary: EventSummary;
  readonly #stunErrors: EventSummary;
  readonly #stun: StunServer;
  readonly #bootstrapDns: BootstrapDns;
  readonly #relayHttp: RelayHttp;
  readonly #door: FrontDoor;
  readonly #servers: Server[];
  readonly #listeners: Listeners;
  readonly #log: Logger;
  #descriptors: Descriptors | null = null;
  #config: Config;

  /** Reads key and certificate; opens no port yet. Throws a TowpathError when a file is unusable. */
  constructor(config: Config, transport: Transport, log: Logger, inherited: InheritedSockets = NO_SOCKETS) {
    this.#config = config;
    this.#transport = transport;
    this.#log = log;
    const { keyPair, created, warnings } = loadOrCreateKeyFile(config.keyFile);
    for (const warning of warnings) log.warn({ file: config.keyFile }, warning);
    if (created) log.info({ file: config.keyFile }, 'made a new private key');
    this.keyPair = keyPair;
    const clock = this.#clock;
    const listenIps = config.listen.map(({ ip }) => ip);
    this.certificate =
      config.transport === 'plain'
        ? proxyCertificate(config.certificate.names)
        : openCertificateSource(
            { ...config.certificate, listenIps, publicIp: config.publicIp },
            {
              serverPublicKey: keyPair.publicKey,
              clock,
              log,
              health: this.health,
              answersHttp: config.http.length > 0,
            },
          );
    this.#summary = new EventSummary({ log, clock, verb: 'refused', noun: 'connection' });
    this.#space = new QueueSpace(config.limits.totalQueueBytes);
    this.#guard = buildGuard(config, clock, this.#memoryLimit());
    this.#refusals = new Refusals(this.counters, log, this.#summary, this.#guard);
    const { health } = this;
    this.#admission = new AdmissionService(config.admission, { clock, log, health });
    this.#router = new Router(this.counters, config.duplicates, config.limits);
    this.#sessions = new Sessions(this.#sessionParts());
    this.#stunErrors = new EventSummary({ log, clock, verb: 'could not answer', noun: 'STUN datagram', level: 'warn' });
    this.#stun = new StunServer({
      counters: this.counters,
      clock,
      ...stunLimits(config),
      onError: (error) => this.#stunErrors.add(systemErrorCode(error) || 'error', error.message),
      onMissing: (addresses, reason) =>
        log.warn({ addresses, reason }, 'STUN may answer on these addresses from another one'),
    });
    this.#liveness = new Liveness({
      clock,
      health,
      stun: this.#stun,
      certificate: config.transport === 'tls' ? () => this.certificate.info() : null,
      changed: (reason) => {
        if (reason === null) log.info('STUN answers again');
        else log.error({ reason }, 'STUN is silent: clients should not choose this relay now');
      },
    });
    this.#bootstrapDns = new BootstrapDns({ ...config.bootstrapDns, counters: this.counters, clock });
    this.#relayHttp = createRelayHttpHandler({
      home: loadHomePage(config.home),
      bootstrapDns: this.#bootstrapDns,
      httpsPort: config.derpPort ?? config.listen[0]!.port,
      challengeResponse: this.certificate.challenges?.httpResponse,
    });
    const httpOptions = {
      headMs: config.limits.requestHeadMs,
      headBytes: config.limits.requestHeadBytes,
      counters: this.counters,
      neutral: () => this.#config.home.mode !== 'full',
    };
    const main = createHttpServer(this.#relayHttp.main, { ...httpOptions, isAllowed: isRequestAllowed });
    const port80 = createHttpServer(this.#relayHttp.port80, httpOptions);
    this.#servers = [main, port80];
    this.#door = new FrontDoor({
      handlers: createDoorHandlers({
        sessions: this.#sessions,
        clock,
        publicKey: keyPair.publicKey,
        counters: this.counters,
        refusals: this.#refusals,
        http: main,
        httpConnectionLimit: config.limits.httpConnections,
      }),
      limits: config.limits,
      clock,
      counters: this.counters,
      guard: this.#guard,
      proxies: frontProxies(config),
      onListenerError: (error) => this.#liveness.listenerError(error),
    });
    this.#listeners = new Listeners(transport, inherited, {
      derp: this.#door,
      http: this.#httpDoor(port80, config.limits.httpConnections, this.#guard),
      stun: this.#stun,
      admin: () => this.#adminDoor(),
    });
    this.certificate.onChange((pair) => this.#listeners.replaceCertificate(pair));
  }

  /** Sessions of all states. */
  get sessionCount(): number {
    return this.#sessions.count;
  }

  /** Admits `key` whatever the admission sources say, for the self-test; returns the way to end that. */
  exempt(key: Buffer): () => void {
    return this.#admission.admission.exempt(key);
  }

  /** Opens all ports. When one of them cannot be had, the others are closed again. */
  async start(): Promise<void> {
    const config = this.#config;
    this.#clock.start();
    try {
      await this.#admission.start(this.#sessions);
      await this.#listeners.open(config, config.transport === 'tls' ? this.#serverTls() : null);
      this.#descriptors = this.#watchDescriptors();
      this.#liveness.check();
      void this.#bootstrapDns.start();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  get addresses(): RelayAddresses {
    return this.#listeners.addresses;
  }

  /** Reads the certificate again, whether its files seem changed or not, and logs what it found. */
  reloadFiles(): void {
    this.certificate.reload();
    this.#admission.admission.reload();
  }

  /**
   * Takes over what may change while running: rate limits, home page, duplicate policy. Returns the keys that changed
   * but need a restart.
   */
  reload(config: Config): string[] {
    const before = this.#config;
    const home = loadHomePage(config.home);
    this.#relayHttp.setHome(home);
    this.#router.duplicatePolicy = config.duplicates;
    if (JSON.stringify(config.fairness) !== JSON.stringify(before.fairness)) {
      this.#sessions.setLimits(sharedLimits(config.fairness, this.#wakes));
    }
    this.#config = { ...before, home: config.home, duplicates: config.duplicates, fairness: config.fairness };
    return restartKeys(before, config);
  }

  /** Stops accepting, tells the clients, and closes their connections within the drain time. */
  async drain(): Promise<void> {
    const { drain: config } = this.#config;
    await this.#closing('ports of the relay', () => this.#listeners.closeFront());
    const limitMs = config.seconds * 1000 + DRAIN_GRACE_MS;
    await shutdownStep('drain', () => this.#sessions.drain(config), this.#log, limitMs);
  }

  /** Closes everything that is still open. Each step has a time limit, and none keeps another from being done. */
  async close(): Promise<void> {
    await this.#closing('ports of the relay', () => this.#listeners.closeFront());
    await this.#closing('connections', () => this.#closeConnections());
    await this.#closing('administration', () => this.#listeners.closeAdmin());
    await this.#closing('bootstrap DNS', () => this.#bootstrapDns.stop());
    await this.#closing('admission', () => this.#admission.stop());
    await this.#closing('certificate', () => this.certificate.stop());
    for (const part of [this.#summary, this.#stunErrors, this.#liveness, this.#descriptors, this.#memory, this.#guard])
      part?.close();
    this.#clock.stop();
  }

  async #closing(what: string, step: () => unknown): Promise<void> {
    await shutdownStep(what, step, this.#log);
  }

  #closeConnections(): void {
    this.#sessions.close();
    this.#door.close();
    for (const server of this.#servers) server.closeAllConnections();
  }

  #sessionParts(): SessionParts {
    const { limits, fairness } = this.#config;
    const wakes = this.#wakes;
    return {
      clock: this.#clock,
      counters: this.counters,
      turn: new LoopTurn(),
      space: this.#space,
      wakes,
      router: this.#router,
      admission: this.#admission.admission,
      deniedApps: new Set(this.#config.admission.denyApps),
      limits: { ...limits, ...keepAlivePeriods(this.#config) },
      keyPair: this.keyPair,
      reporter: this.#refusals,
      mayOpen: ({ connection }) => (connection instanceof DoorConnection ? connection.established() : null),
      ...sharedLimits(fairness, wakes),
    };
  }

  #memoryLimit(): CountedMemory {
    return new CountedMemory({
      limitBytes: memoryLimitBytes(this.#config),
      connectionBytes: this.#transport.connectionBytes,
      queuedBytes: () => this.#config.limits.totalQueueBytes - this.#space.freeBytes,
      residentBytes: () => this.#memory.bytes,
      health: this.health,
    });
  }

  #watchDescriptors(): Descriptors {
    return new Descriptors({
      table: new ProcessDescriptors(),
      connections: this.#config.limits.connections,
      bounded: this.#guard,
      clock: this.#clock,
      log: this.#log,
      health: this.health,
    });
  }

  #serverTls(): ServerTls {
    return {
      certificate: this.certificate.current(),
      handshakeTimeoutMs: this.#config.limits.tlsHandshakeMs,
      challenge: this.certificate.challenges?.alpnCertificate,
    };
  }

  #httpDoor(server: Server, connections: number, guard: SourceGuard | null): HttpDoor {
    const refused: DoorHandlers['refused'] = (reason, remote, detail) =>
      this.#refusals.refused(reason, remote, null, detail);
    return new HttpDoor({
      httpConnections: new HttpConnections({ server, limit: connections, clock: this.#clock, refused }),
      counters: this.counters,
      refused,
      guard,
      onListenerError: (error) => this.#liveness.listenerError(error),
    });
  }

  #adminDoor(): HttpDoor {
    const metrics = createMetrics({
      counters: this.counters,
      version: VERSION,
      runtime: `${this.#transport.runtime} ${process.versions[this.#transport.runtime] ?? ''}`,
      health: this.health,
      certificateExpiry: () => this.certificate.info().notAfter.getTime(),
      bootstrapDnsQueriedNames: () => this.#bootstrapDns.queriedNames,
      more: this.#admission.admission.metrics(),
    });
    const pages = { '/admission': this.#admission.page };
    const server = createHttpServer(createAdminHandler({ metrics, health: this.health, pages }));
    this.#servers.push(server);
    return this.#httpDoor(server, ADMIN_CONNECTIONS, null);
  }
}

/** Keys that {@link Relay.reload} takes over without a restart. */
const LIVE_KEYS: ReadonlySet<string> = new Set(['fairness', 'home', 'duplicates', 'log']);

function restartKeys(before: Config, after: Config): string[] {
  const keys = Object.keys(after) as (keyof Config)[];
  return keys.filter((key) => !LIVE_KEYS.has(key) && JSON.stringify(before[key]) !== JSON.stringify(after[key]));
}
