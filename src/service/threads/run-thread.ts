import { Clock, SLOW_TICK_MS } from '../../base/clock.ts';
import { errorMessage, internalError, onInternalError } from '../../base/errors.ts';
import { ResidentMemory } from '../../base/resident-memory.ts';
import { Relay, type RelayEvents } from '../../relay/relay.ts';
import { transport } from '../../transport/runtime.ts';
import type { CertificatePair } from '../../transport/port.ts';
import { AskedAdmission } from './asked-admission.ts';
import type {
  RelayThreadData,
  ServiceNote,
  ServiceRequests,
  ThreadEvent,
  ThreadNote,
  ThreadRequests,
} from './messages.ts';
import { ownSocket } from './own-socket.ts';
import { RequestPort } from './request-port.ts';
import { sharedPorts } from './shared-memory.ts';
import { ThreadHttp } from './thread-http.ts';

/**
 * Most refusals that are reported in one tick of the clock. More are only counted, because a log could not hold them.
 */
const REFUSALS_PER_TICK = 500;
const TRAFFIC_MS = 1000;

/** One relay in a thread of its own. The service controls it; the thread only moves packets by itself. */
export class RelayThread {
  readonly #clock = new Clock();
  readonly #memory = new ResidentMemory();
  readonly #relay: Relay;
  readonly #http: ThreadHttp;
  readonly #admission: AskedAdmission;
  readonly #port: RequestPort<ServiceRequests, ThreadRequests, ServiceNote, ThreadNote>;
  /** The certificates that answer ACME challenges, by server name. */
  readonly #challenges = new Map<string, CertificatePair>();
  #events: ThreadEvent[] = [];
  #refusals = 0;
  #trafficAt = 0;
  #lastCounted = '';

  constructor({ settings, http, index, memory, port }: RelayThreadData) {
    this.#port = new RequestPort<ServiceRequests, ThreadRequests, ServiceNote, ThreadNote>(
      port,
      {
        listen: async ({ place, certificate }) => {
          await this.#relay.listen(
            await ownSocket(place),
            certificate,
            (serverName) => this.#challenges.get(serverName) ?? null,
          );
          return null;
        },
        review: ({ round }) => this.#review(round),
        sessions: () => this.#relay.snapshot().sessions,
        endKeys: (endings) => this.#relay.endKeys(endings),
        drain: async (plan) => {
          await this.#relay.drain(plan);
          return null;
        },
        closePorts: async () => {
          await this.#relay.closePorts();
          return null;
        },
        close: () => this.#close(),
        ping: () => null,
      },
      (note) => this.#noted(note),
    );
    this.#admission = new AskedAdmission({
      ask: (question) => this.#port.ask('admit', question),
      over: (ids) => this.#port.tell({ kind: 'over', ids }),
    });
    this.#relay = new Relay(settings, {
      transport,
      clock: this.#clock,
      admission: this.#admission,
      http: (...connection) => this.#http.enter(...connection),
      events: this.#relayEvents(),
      residentBytes: () => this.#memory.bytes,
      ...sharedPorts(memory, index),
    });
    this.#http = new ThreadHttp(http, this.#relay, this.#clock);
    this.#clock.onTick((now) => this.#tick(now), SLOW_TICK_MS);
    this.#clock.start();
    this.#surviveBugs();
    this.#port.tell({ kind: 'started' });
  }

  #noted(note: ThreadNote): void {
    const relay = this.#relay;
    if (note.kind === 'attach') relay.threads?.attach(note.index, note.channel);
    else if (note.kind === 'detach') relay.threads?.detach(note.index);
    else if (note.kind === 'certificate') relay.replaceCertificate(note.pair);
    else if (note.kind === 'connections') relay.guard.setConnectionLimit(note.limit, note.isForDescriptors);
    else if (note.kind === 'keyLimits') relay.setKeyLimits(note.changes);
    else if (note.kind === 'apply') relay.apply(note.live);
    else if (note.kind === 'home') this.#http.setHome(note.home);
    else if (note.pair === null) this.#challenges.delete(note.serverName);
    else this.#challenges.set(note.serverName, note.pair);
  }

  async #review(round: number): Promise<{ failed: string[] }> {
    const failed: string[] = [];
    await this.#relay.review(
      (key, ip) => this.#port.ask('review', { round, key: new Uint8Array(key), ip, id: 0 }),
      (error) => failed.push(errorMessage(error)),
    );
    return { failed };
  }

  #close(): null {
    this.#relay.close();
    this.#http.close();
    this.#tick(Infinity);
    return null;
  }

  #tick(now: number): void {
    this.#admission.tick();
    if (this.#events.length > 0) this.#port.tell({ kind: 'events', events: this.#events });
    this.#events = [];
    this.#refusals = 0;
    if (now >= this.#trafficAt) {
      this.#trafficAt = now + TRAFFIC_MS;
      const traffic = this.#relay.takeTraffic();
      if (traffic.length > 0) this.#port.tell({ kind: 'traffic', traffic });
    }
    const { counters, sessionCount, guard, queuedBytes } = this.#relay;
    const text = `${JSON.stringify(counters)} ${queuedBytes}`;
    if (text === this.#lastCounted) return;
    this.#lastCounted = text;
    const copy = structuredClone(counters);
    this.#port.tell({ kind: 'counted', counters: copy, sessions: sessionCount, open: guard.open, queuedBytes });
  }

  /** Reports an event to the main thread at the next tick, which comes soon. */
  #tellSoon(event: ThreadEvent): void {
    this.#events.push(event);
    this.#clock.tickBy(this.#clock.now);
  }

  #relayEvents(): RelayEvents {
    return {
      refused: (reason, remote, key, detail) => {
        if (this.#refusals++ >= REFUSALS_PER_TICK) return;
        this.#tellSoon({ kind: 'refused', reason, remote, key: key === null ? null : new Uint8Array(key), detail });
      },
      // All of them: the service must know which clients are connected.
      opened: (remote, key, app) => this.#tellSoon({ kind: 'opened', remote, key: new Uint8Array(key), app }),
      closed: (remote, key, reason) => this.#tellSoon({ kind: 'closed', remote, key: new Uint8Array(key), reason }),
      listenerError: (error) => this.#port.tell({ kind: 'listenerError', message: errorMessage(error) }),
      // The main thread also has the links to other relays: this one never joins the region.
      link: () => undefined,
      memory: (problem) => this.#port.tell({ kind: 'memory', problem }),
    };
  }

  /** Limits the damage of a bug to the connection that it is about, as in the main thread. */
  #surviveBugs(): void {
    onInternalError((where, error) => {
      const details = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#port.tell({ kind: 'internalError', where, details });
    });
    process.on('uncaughtException', (error) => internalError('uncaught', error));
    process.on('unhandledRejection', (error) => internalError('unhandled rejection', error));
  }
}
