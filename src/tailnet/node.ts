/**
 * A node of a tailnet, which clients need to use the UDP relay: the control protocol (`control-connection.ts`),
 * registration, the network map and the grants in its packet filter. This file runs them.
 */
import { pause } from '../base/pause.ts';
import { errorMessage, internalError } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import type { Environment } from '../transport/http/proxy-choice.ts';
import { VERSION } from '../base/version.ts';
import { BackOff } from './back-off.ts';
import { asControlError, ControlConnection } from './control-connection.ts';
import { ControlError, type ControlErrorKind } from './control-error.ts';
import { HealthMessages } from './health-messages.ts';
import type { MapResponse } from './map-response.ts';
import { follow, publish } from './map-session.ts';
import { hasExpired, Netmap } from './netmap.ts';
import { hostinfo, type NodeSettings } from './node-settings.ts';
import type { NodeState } from './node-state.ts';
import { PingAnswerer } from './ping-answer.ts';
import { logOut, register, whyNotRegistered, type Proof, type Registrant, type Registration } from './registration.ts';
import type { EventLog } from '../base/event-log.ts';

/** Time limit for DNS, TCP and TLS together. */
const CONNECT_TIMEOUT_MS = 15_000;
/** Headscale keeps the map stream of a removed node open, and refuses only its next request. So the node makes one. */
const PUBLISH_AGAIN_MS = 300_000;
/** The node key is renewed this long before it expires. */
const RENEW_BEFORE_MS = 86_400_000;
/** Time between attempts of a renewal that needs a login. */
const RENEW_AGAIN_MS = 3_600_000;
/** After a session of this length, the next attempt starts without a pause. */
const GOOD_SESSION_MS = 10_000;
/** Pause after a refused registration: only a person can change the result. */
const REFUSED_PAUSE_MS = 60_000;
/** Pause when the server sends the node to a login again instead of waiting for the person. */
const LOGIN_AGAIN_MS = 5000;

/** The phase of a node. */
export const NodePhase = {
  /** Not connected to the control server. */
  Connecting: 'connecting',
  /** A person must log in. */
  Login: 'login',
  /** An administrator must approve the node. */
  Approval: 'approval',
  /** The network map is up to date. */
  Online: 'online',
  Stopped: 'stopped',
} as const;
export type NodePhase = (typeof NodePhase)[keyof typeof NodePhase];

export interface NodeParts {
  readonly clock: Clock;
  readonly log: EventLog<'debug' | 'info' | 'warn'>;
  readonly environment: Environment;
  /** Milliseconds since 1970. */
  readonly wallClock?: () => number;
}

/** Receives the events of a node. */
export interface NodeListener {
  /** Phase, error or network map have changed. */
  changed(): void;
  /** The node key has changed. */
  keyChanged(): void;
}

/**
 * A node of a tailnet: it registers, follows the network map, and repeats both when needed (peer-relay reference §11 to
 * §15). The last map stays in use while the control server cannot be reached.
 */
export class TailnetNode {
  settings: NodeSettings;
  readonly state: NodeState;
  netmap: Netmap;
  listener: NodeListener = { changed() {}, keyChanged() {} };
  phase: NodePhase = NodePhase.Connecting;
  /** URL where a person must log in, or null. */
  loginUrl: string | null = null;
  /** The control server has refused the registration until the node key is signed (tailnet lock). */
  needsSignature = false;
  /** Other connections to the relay use the node key, so that requests of clients do not arrive here. */
  isKeyInUse = false;
  /** The last error, or null when the control server has answered since. */
  error: string | null = null;
  /** What kind of error {@link error} is. */
  errorKind: ControlErrorKind = 'unreachable';
  /** Milliseconds since 1970 of the last frame of the map stream; null before the first. */
  lastFrameAt: number | null = null;
  readonly #parts: NodeParts;
  readonly #wallClock: () => number;
  readonly #stop = new AbortController();
  readonly #backOff = new BackOff();
  readonly #pings: PingAnswerer;
  readonly #health: HealthMessages;
  #finished: Promise<void> = Promise.resolve();
  #needsRegistration = true;
  #renewAt = Number.NEGATIVE_INFINITY;
  #connection: ControlConnection | null = null;
  #told = '';
  /** The next frame is the first of its stream. */
  #isFirstFrame = true;
  /** True when the node key was renewed: the present stream belongs to the old key. */
  #hasNewKey = false;

  constructor(settings: NodeSettings, state: NodeState, parts: NodeParts) {
    this.settings = settings;
    this.state = state;
    this.netmap = new Netmap(settings.peers);
    this.#parts = parts;
    this.#wallClock = parts.wallClock ?? Date.now;
    this.#pings = new PingAnswerer({
      caPem: settings.caPem,
      environment: parts.environment,
      ignored: (why) =>
        parts.log.debug({ tailnet: settings.name, why }, 'a ping of the control server is not answered'),
    });
    this.#health = new HealthMessages((problem) =>
      parts.log.warn({ tailnet: settings.name, problem }, 'the control server reports a problem'),
    );
  }

  /** Sets other limits. The length of a frame and the number of peers apply from the next map stream on. */
  setLimits(limits: Pick<NodeSettings, 'mapBytes' | 'peers'>): void {
    this.settings = { ...this.settings, ...limits };
  }

  /** Starts the node. Failures are retried and logged. */
  start(): void {
    this.#finished = this.#run().catch((error: unknown) => internalError('tailnet', error));
  }

  /** Ends the connection; resolves when all work has ended. The node stays registered. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#connection?.close();
    await this.#finished;
  }

  /** Registers once, without following the map; calls `login` when a person must log in. For the command line. */
  async logIn(login: (url: string) => void): Promise<Registration> {
    const connection = await this.#connect();
    try {
      return await this.#register(connection, login);
    } finally {
      connection.close();
    }
  }

  /** Logs the node out at the control server. */
  async logOut(): Promise<void> {
    const connection = await this.#connect();
    try {
      await logOut(connection, this.#registrant());
      this.#remember(() => this.state.forgotten());
    } finally {
      connection.close();
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { clock } = this.#parts;
    while (!signal.aborted) {
      const startedAt = clock.now;
      let waitMs: number;
      try {
        await this.#session();
        waitMs = 0;
      } catch (error) {
        if (clock.now - startedAt > GOOD_SESSION_MS) this.#backOff.reset();
        waitMs = this.#failed(asControlError(error));
      } finally {
        this.#connection?.close();
        this.#connection = null;
      }
      await pause(clock, waitMs, signal);
    }
    this.#to(NodePhase.Stopped);
  }

  /** Runs one session, from the connection to the end of the map stream. Resolves when the next one starts at once. */
  async #session(): Promise<void> {
    const connection = await this.#connect();
    if (this.#needsRegistration) await this.#enter(connection);
    this.#beginStream();
    const stream = follow(connection, this.#registrant(), {
      clock: this.#parts.clock,
      mapBytes: this.settings.mapBytes,
      frame: (response) => this.#take(response, connection),
      signal: this.#stop.signal,
    });
    try {
      // At once, as clients do: servers take half a second for each, and clients ask as soon as they know of the relay.
      await Promise.all([this.#publish(connection), stream]);
    } catch (error) {
      if (!this.#hasNewKey) throw error;
    }
  }

  /**
   * Publishes the facts about the node, at once and again from time to time. Rejects when that fails the first time, or
   * later because the server does not know the node.
   */
  async #publish(connection: ControlConnection): Promise<void> {
    const { clock } = this.#parts;
    const { signal } = this.#stop;
    const isOver = (): boolean => !connection.isOpen;
    await publish(connection, this.#registrant());
    for (;;) {
      await pause(clock, PUBLISH_AGAIN_MS, signal, isOver);
      if (signal.aborted || isOver()) return;
      await publish(connection, this.#registrant()).catch((error: unknown) => {
        if (asControlError(error).kind === 'unknown-node') throw error;
      });
    }
  }

  #beginStream(): void {
    this.#isFirstFrame = true;
    this.#hasNewKey = false;
  }

  async #enter(connection: ControlConnection): Promise<void> {
    const result = await this.#register(connection, (url) => this.#askForLogin(url));
    this.needsSignature = result.kind === 'locked';
    if (result.kind !== 'registered') {
      const why = whyNotRegistered(result, this.state.node.publicKey);
      throw new ControlError('refused', `the control server refuses the registration: ${why}`, REFUSED_PAUSE_MS);
    }
    this.#needsRegistration = false;
    this.loginUrl = null;
  }

  async #connect(): Promise<ControlConnection> {
    const { controlUrl, capabilityVersion, caPem } = this.settings;
    const server = {
      url: new URL(controlUrl),
      version: capabilityVersion,
      machine: this.state.machine,
      timeoutMs: CONNECT_TIMEOUT_MS,
      caPem,
      environment: this.#parts.environment,
    };
    this.#connection = await ControlConnection.open(server, this.#stop.signal);
    return this.#connection;
  }

  /** Registers: a known node sends only its identity; otherwise the auth key is used, or a person must log in. */
  async #register(connection: ControlConnection, login: (url: string) => void): Promise<Registration> {
    // Read only when it is needed: an operator may remove it after the first registration.
    let proof: Proof = this.state.isRegistered ? {} : { authKey: this.#authKey() };
    let hasRotated = false;
    for (;;) {
      const result = await register(connection, this.#registrant(), proof);
      if (result.kind === 'registered') {
        this.#remember(() => this.state.registered());
        return result;
      }
      if (result.kind === 'expired' && !hasRotated) {
        hasRotated = true;
        const authKey = this.#authKey();
        this.#rotate();
        proof = { authKey };
      } else if (result.kind === 'login') {
        const authKey = proof.authKey === undefined && proof.followup === undefined ? this.#authKey() : null;
        if (authKey === null) login(result.url);
        if (proof.followup !== undefined) await pause(this.#parts.clock, LOGIN_AGAIN_MS, this.#stop.signal);
        proof = authKey === null ? { followup: result.url } : { authKey };
      } else {
        return result;
      }
    }
  }

  /** Returns the auth key, or null when none is configured. Throws a {@link ControlError} when it cannot be read. */
  #authKey(): string | null {
    try {
      return this.settings.readAuthKey();
    } catch (error) {
      throw new ControlError('auth-key', errorMessage(error), null, error);
    }
  }

  /** Writes to the state. On a full or read-only disk the node goes on, and a restart may have to register again. */
  #remember(write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#parts.log.warn(
        { tailnet: this.settings.name, error: errorMessage(error) },
        'the state of the node cannot be written; the node goes on without it',
      );
    }
  }

  #rotate(): void {
    this.state.rotate();
    this.#parts.log.info({ tailnet: this.settings.name }, 'the node key has expired: the node takes a new one');
    this.listener.keyChanged();
  }

  /** Changes the node key before it expires, if an auth key allows that without a person. */
  async #renew(connection: ControlConnection): Promise<void> {
    const { log } = this.#parts;
    const { name, readAuthKey } = this.settings;
    try {
      const authKey = readAuthKey();
      if (authKey === null) return;
      if (this.netmap.hasTailnetLock) {
        log.warn({ tailnet: name }, 'the node key is not renewed: tailnet lock is on, and a new key has to be signed');
        return;
      }
      this.state.rotate();
      const result = await register(connection, this.#registrant(), { authKey }).catch((error: unknown) => {
        this.state.restore();
        throw error;
      });
      if (result.kind !== 'registered') {
        this.state.restore();
        log.warn({ tailnet: name, result: result.kind }, 'the node key could not be renewed with the auth key');
        return;
      }
      this.#remember(() => this.state.registered());
      this.#hasNewKey = true;
      log.info({ tailnet: name }, 'the node key was renewed');
      this.listener.keyChanged();
      connection.close();
    } catch (error) {
      log.warn(
        { tailnet: name, error: errorMessage(error) },
        'the node key could not be renewed; the relay tries again',
      );
    }
  }

  #askForLogin(url: string): void {
    if (this.loginUrl !== url)
      this.#parts.log.warn({ tailnet: this.settings.name, url }, 'open this URL to let the relay into the tailnet');
    this.loginUrl = url;
    this.#to(NodePhase.Login);
  }

  #registrant(): Registrant {
    const { capabilityVersion } = this.settings;
    return {
      state: this.state,
      version: capabilityVersion,
      hostinfo: hostinfo(this.settings, this.state.logId, VERSION),
    };
  }

  #take(response: MapResponse, connection: ControlConnection): void {
    this.lastFrameAt = this.#wallClock();
    if (response.PingRequest !== null) void this.#pings.answer(response.PingRequest, connection);
    if (response.KeepAlive === true) {
      this.listener.changed();
      this.#watchExpiry(connection);
      return;
    }
    // A stream begins with the whole map, so the data of the last stream is dropped.
    const netmap = this.#isFirstFrame ? new Netmap(this.settings.peers) : this.netmap;
    netmap.apply(response);
    this.#isFirstFrame = false;
    this.netmap = netmap;
    this.error = null;
    this.#told = '';
    if (response.Health !== null) this.#health.tell(response.Health, this.#parts.clock.now);
    const { self } = netmap;
    this.phase = self === null || self.isAuthorized ? NodePhase.Online : NodePhase.Approval;
    this.listener.changed();
    this.#watchExpiry(connection);
  }

  /** Throws when the node key has expired: a new session starts with a registration. */
  #watchExpiry(connection: ControlConnection): void {
    const { self } = this.netmap;
    if (self === null || this.#hasNewKey) return;
    const now = this.#wallClock();
    if (hasExpired(self, now)) throw new ControlError('unknown-node', 'the node key has expired');
    const { keyExpiresAt } = self;
    if (keyExpiresAt === null || keyExpiresAt - now > RENEW_BEFORE_MS || now < this.#renewAt) return;
    this.#renewAt = now + RENEW_AGAIN_MS;
    void this.#renew(connection);
  }

  #failed(error: ControlError): number {
    const { log } = this.#parts;
    if (this.#stop.signal.aborted) return 0;
    if (error.kind === 'unknown-node') {
      this.#needsRegistration = true;
      this.#remember(() => this.state.forgotten());
    }
    this.error = error.message;
    this.errorKind = error.kind;
    const fields = { tailnet: this.settings.name, error: error.message };
    if (this.#told === error.message) log.debug(fields, 'the control server cannot be used');
    else log.warn(fields, 'the control server cannot be used; the relay tries again');
    this.#told = error.message;
    this.#to(NodePhase.Connecting);
    this.listener.changed();
    return error.retryAfterMs ?? this.#backOff.next();
  }

  #to(phase: NodePhase): void {
    if (this.phase === phase) return;
    this.phase = phase;
    this.listener.changed();
  }
}
