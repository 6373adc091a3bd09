/**
 * The relay threads of the process, for the service as if they were one relay. The main thread is a relay thread
 * itself, with index 0, and the service runs in it. A relay with one thread needs none of this. A thread that ends is
 * started again.
 */
import type { Logger } from 'pino';
import type { ChallengeAnswers } from '../../certificates/source.ts';
import type { HomeConfig } from '../../config/schema/home.ts';
import { SLOW_TICK_MS, type Clock } from '../../base/clock.ts';
import { errorMessage, internalError } from '../../base/errors.ts';
import { Counters, type CounterValues } from '../../observe/counters.ts';
import type { MetricDefinition, Sample } from '../../observe/metrics.ts';
import { SharedPlaces } from '../../relay/door/shared-places.ts';
import { SharedUse } from '../../relay/fairness/shared-use.ts';
import type { Relay } from '../../relay/relay.ts';
import type { Admission } from '../../relay/session/admission.ts';
import type { DrainPlan } from '../../relay/session/drain.ts';
import type { KeyTraffic } from '../../relay/session/key-traffic.ts';
import type { KeyEnding, KeyLimitsChange, Reviewer } from '../../relay/session/sessions.ts';
import type { SessionSnapshot } from '../../relay/session/traffic.ts';
import type { LiveSettings, RelaySettings } from '../../relay/settings.ts';
import { assignCounters, mergeThreads, type RelaySnapshot } from '../../relay/snapshot.ts';
import { createChannels } from '../../relay/threads/thread-link.ts';
import type { CertificatePair } from '../../transport/port.ts';
import type { ServiceNote, ThreadHttpSettings, ThreadNote } from './messages.ts';
import type { ListenPlace } from './own-socket.ts';
import type { ThreadMemory } from './shared-memory.ts';
import { RelayThreadProcess, type ThreadListener } from './relay-thread.ts';
import { mainThreadState, ThreadFaults, threadState, type ThreadState } from './thread-state.ts';

/** Time until a thread that ended is started again. */
const RESTART_MS = 1000;
/** Time between two checks of a thread's event loop, and the time without an answer after which the thread is ended. */
const PING_MS = 2000;
const HUNG_MS = 20_000;
/** Shortest time between two requests for the sessions of the threads. */
const SESSIONS_MS = 1000;

export interface RelayThreadsParts {
  /** The relay of the main thread. */
  readonly relay: Relay;
  /** The shared memory, which the relay of the main thread also has. */
  readonly memory: ThreadMemory;
  readonly settings: () => RelaySettings;
  readonly http: () => ThreadHttpSettings;
  readonly admission: Admission;
  /** Null where there is no TLS. */
  readonly certificate: () => CertificatePair | null;
  readonly challenges: ChallengeAnswers | undefined;
  /** Called with each event of the threads' connections. */
  readonly noted: (index: number, note: ConnectionNote) => void;
  /** Called when a thread has ended, and all its connections with it. */
  readonly ended: (index: number) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The messages of a thread about its connections and its listener. */
export type ConnectionNote = Exclude<
  ServiceNote,
  { readonly kind: 'started' | 'counted' | 'over' | 'internalError' | 'memory' | 'traffic' }
>;

/** All relay threads of the process, as one relay. */
export class RelayThreads {
  /** The counts of all threads together. The object stays the same, and is at most a tick of the clock behind. */
  readonly counters: Counters = new Counters();
  readonly #count: number;
  readonly #parts: RelayThreadsParts;
  readonly #threads = new Map<number, RelayThreadProcess>();
  /** The counts of threads that have ended, by their index. */
  readonly #ended = new Map<number, CounterValues>();
  readonly #reviewers = new Map<number, Reviewer>();
  #lastRound = 0;
  /** Clients that no longer wait for their admission: the index of the thread and the number of the question. */
  readonly #over = new Set<string>();
  readonly #challenges = new Map<string, CertificatePair>();
  readonly #restarting = new Map<number, NodeJS.Timeout>();
  readonly #unsubscribes: (() => void)[] = [];
  readonly #answeredMs = new Map<RelayThreadProcess, number>();
  #places: readonly ListenPlace[] = [];
  #connections: ThreadNote | null = null;
  readonly #faults = new ThreadFaults();
  /** The traffic of the keys in the other threads, until it is taken. */
  readonly #traffic: KeyTraffic[] = [];
  #pingAt = 0;
  #sessions: readonly SessionSnapshot[] = [];
  #sessionsAt = -Infinity;
  #isClosed = false;

  /** `count` threads in addition to the main thread. None is started yet. */
  constructor(count: number, parts: RelayThreadsParts) {
    this.#count = count;
    this.#parts = parts;
  }

  /** Starts all threads. Each listens at all places. Rejects when one cannot. */
  async start(places: readonly ListenPlace[]): Promise<void> {
    const { clock, challenges } = this.#parts;
    this.#places = places;
    this.#unsubscribes.push(clock.onTick((now) => this.#tick(now), SLOW_TICK_MS));
    const unsubscribe = challenges?.onAlpnChange?.((serverName, pair) => {
      if (pair === null) this.#challenges.delete(serverName);
      else this.#challenges.set(serverName, pair);
      this.#tellAll({ kind: 'challenge', serverName, pair });
    });
    if (unsubscribe !== undefined) this.#unsubscribes.push(unsubscribe);
    await Promise.all(Array.from({ length: this.#count }, (_, i) => this.#start(i + 1)));
  }

  /** Number of sessions in all states. */
  get sessionCount(): number {
    return this.#parts.relay.sessionCount + this.#sum((thread) => thread.sessions);
  }

  /** Number of open connections. */
  get open(): number {
    return this.#parts.relay.guard.open + this.#sum((thread) => thread.open);
  }

  metrics(): MetricDefinition[] {
    return [
      {
        name: 'towpath_relay_threads',
        help: 'Relay threads that run, the main thread included.',
        type: 'gauge',
        labels: [],
        read: () => [[{}, this.#threads.size + 1]],
      },
      {
        name: 'towpath_relay_thread_restarts_total',
        help: 'Relay threads that ended by a fault and were started again.',
        type: 'counter',
        labels: [],
        read: () => [[{}, this.#faults.restarts]],
      },
      {
        name: 'towpath_relay_thread_connections',
        help: 'DERP connections by relay thread; 0 is the main thread.',
        type: 'gauge',
        labels: ['thread'],
        read: () => [
          [{ thread: '0' }, this.#parts.relay.counters.connections],
          ...[...this.#threads.values()].map(({ index, counters }): Sample => [
            { thread: String(index) },
            counters?.connections ?? 0,
          ]),
        ],
      },
    ];
  }

  /** All threads, the main one first. */
  states(): ThreadState[] {
    const others = Array.from({ length: this.#count }, (_, i) => {
      const thread = this.#threads.get(i + 1);
      return threadState(i + 1, thread ?? null, this.#faults.of(i + 1));
    });
    return [mainThreadState(this.#parts.relay), ...others];
  }

  /** The sessions of the other threads are as they were about a second ago; the first call finds none of them. */
  snapshot(): RelaySnapshot {
    const now = this.#parts.clock.readNow();
    if (now - this.#sessionsAt >= SESSIONS_MS) {
      this.#sessionsAt = now;
      void this.refreshSessions();
    }
    const { sessions, links } = this.#parts.relay.snapshot();
    return { counters: structuredClone(this.counters), sessions: [...sessions, ...this.#sessions], links };
  }

  /** Resolves when the next {@link snapshot} knows the sessions of the other threads as they are now. */
  async refreshSessions(): Promise<void> {
    const lists: SessionSnapshot[][] = [];
    await this.#askAll(async ({ port, index }) => {
      lists.push((await port.ask('sessions', null)).map((session) => ({ ...session, thread: index })));
    });
    this.#sessions = lists.flat();
  }

  /** See `Relay.apply`. */
  apply(live: LiveSettings): void {
    this.#parts.relay.apply(live);
    this.#tellAll({ kind: 'apply', live });
  }

  /** Sets the home page of the other threads. `PublicHttp` has the page of the main thread. */
  setHome(home: HomeConfig): void {
    this.#tellAll({ kind: 'home', home });
  }

  /** See `Relay.replaceCertificate`. */
  replaceCertificate(pair: CertificatePair): void {
    this.#parts.relay.replaceCertificate(pair);
    this.#tellAll({ kind: 'certificate', pair });
  }

  /** See `Relay.setKeyLimits`. */
  setKeyLimits(changes: readonly KeyLimitsChange[]): void {
    this.#parts.relay.setKeyLimits(changes);
    if (changes.length > 0) this.#tellAll({ kind: 'keyLimits', changes });
  }

  /** See `Relay.endKeys`. */
  async endKeys(endings: readonly KeyEnding[]): Promise<number> {
    let ended = this.#parts.relay.endKeys(endings);
    await this.#askAll(async ({ port }) => {
      const there = await port.ask('endKeys', endings);
      ended += there;
    });
    return ended;
  }

  /** Returns what each key has sent and received since the last call. A key may be in it several times. */
  takeTraffic(): KeyTraffic[] {
    return [...this.#parts.relay.takeTraffic(), ...this.#traffic.splice(0)];
  }

  /** Sets the number of connections that may be open in all threads, and whether descriptors are the reason. */
  setConnectionLimit(limit: number, isForDescriptors: boolean): void {
    this.#parts.relay.guard.setConnectionLimit(limit, isForDescriptors);
    this.#connections = { kind: 'connections', limit, isForDescriptors };
    this.#tellAll(this.#connections);
  }

  /** See `Relay.review`. */
  async review(reviewer: Reviewer, failed: (error: unknown) => void): Promise<void> {
    const round = ++this.#lastRound;
    this.#reviewers.set(round, reviewer);
    const others = this.#askAll(async ({ port }) => {
      for (const problem of (await port.ask('review', { round })).failed) failed(new Error(problem));
    });
    await Promise.all([this.#parts.relay.review(reviewer, failed), others]);
    this.#reviewers.delete(round);
  }

  /** See `Relay.drain`. */
  async drain(plan: DrainPlan): Promise<void> {
    await Promise.all([this.#parts.relay.drain(plan), this.#askAll(({ port }) => port.ask('drain', plan))]);
  }

  /** Closes the ports of the other threads. Connections stay open, and no thread is started again. */
  async closePorts(): Promise<void> {
    this.#stopRestarts();
    await this.#askAll(({ port }) => port.ask('closePorts', null));
  }

  /** Ends the connections of the other threads, and these threads. */
  async close(): Promise<void> {
    this.#stopRestarts();
    for (const unsubscribe of this.#unsubscribes.splice(0)) unsubscribe();
    await this.#askAll(({ port }) => port.ask('close', null));
    this.#merge();
    const threads = [...this.#threads.values()];
    this.#threads.clear();
    await Promise.all(threads.map((thread) => thread.end()));
  }

  /** Ends a thread as a fault of its own would. */
  async kill(index: number): Promise<void> {
    await this.#threads.get(index)?.kill();
  }

  // ---- one thread

  async #start(index: number): Promise<void> {
    const { settings, http, memory, certificate } = this.#parts;
    const data = { settings: settings(), http: http(), memory };
    const thread = new RelayThreadProcess(index, data, this.#listenerOf(index));
    await thread.started;
    if (this.#isClosed) return thread.end();
    if (this.#connections !== null) thread.port.tell(this.#connections);
    for (const [serverName, pair] of this.#challenges) thread.port.tell({ kind: 'challenge', serverName, pair });
    this.#join(thread);
    this.#threads.set(index, thread);
    this.#answeredMs.set(thread, this.#parts.clock.now);
    for (const place of this.#places) await thread.port.ask('listen', { place, certificate: certificate() });
  }

  /** Connects a new thread to all that run. */
  #join(thread: RelayThreadProcess): void {
    const { threads } = this.#parts.relay;
    const [main, its] = createChannels();
    threads?.attach(thread.index, main);
    thread.port.tell({ kind: 'attach', index: 0, channel: its }, [its.port]);
    for (const other of this.#threads.values()) {
      const [one, two] = createChannels();
      other.port.tell({ kind: 'attach', index: thread.index, channel: one }, [one.port]);
      thread.port.tell({ kind: 'attach', index: other.index, channel: two }, [two.port]);
    }
  }

  #listenerOf(index: number): ThreadListener {
    const { admission, noted } = this.#parts;
    return {
      answers: {
        admit: async ({ key, ip, id }) => {
          const question = `${index} ${id}`;
          const isOver = (): boolean => this.#over.has(question);
          try {
            return await admission.admit({ key: Buffer.from(key), ip, isOver });
          } finally {
            this.#over.delete(question);
          }
        },
        review: ({ round, key, ip }) => this.#reviewers.get(round)?.(Buffer.from(key), ip) ?? { admitted: true },
      },
      noted: (note) => {
        if (note.kind === 'over') for (const id of note.ids) this.#over.add(`${index} ${id}`);
        else if (note.kind === 'internalError') internalError(note.where, new Error(note.details));
        else if (note.kind === 'traffic') this.#traffic.push(...note.traffic);
        // The main thread also watches the memory of the process.
        else if (note.kind !== 'memory') noted(index, note);
      },
      ended: (thread, error) => this.#threadEnded(thread, error),
    };
  }

  #threadEnded(thread: RelayThreadProcess, error: Error): void {
    const { index, counters } = thread;
    this.#answeredMs.delete(thread);
    this.#faults.ended(index, errorMessage(error));
    if (this.#threads.get(index) === thread) {
      this.#threads.delete(index);
      this.#parts.relay.threads?.detach(index);
      this.#tellAll({ kind: 'detach', index });
    }
    if (counters !== null) {
      const before = this.#ended.get(index);
      this.#ended.set(index, before === undefined ? counters : mergeThreads(before, [counters], []));
    }
    for (const question of this.#over) if (question.startsWith(`${index} `)) this.#over.delete(question);
    // Its connections hold no places any more, and its queues no memory.
    new SharedPlaces(this.#parts.memory.places, index).clear();
    new SharedUse(this.#parts.memory.use, index).clear();
    this.#parts.ended(index);
    if (this.#isClosed) return;
    this.#parts.log.error(
      { thread: index, connections: thread.sessions, error: errorMessage(error) },
      'a relay thread has ended, and its connections with it; it is started again',
    );
    this.#startLater(index);
  }

  #startLater(index: number): void {
    const timer = setTimeout(() => {
      this.#restarting.delete(index);
      this.#start(index).then(
        () => {
          this.#faults.restarted(index);
          this.#parts.log.warn({ thread: index }, 'the relay thread runs again');
        },
        // A thread that has ended is started again by `#threadEnded`. A thread that cannot listen is ended for that.
        () => void this.#threads.get(index)?.kill(),
      );
    }, RESTART_MS);
    this.#restarting.set(index, timer.unref());
  }

  #stopRestarts(): void {
    this.#isClosed = true;
    for (const timer of this.#restarting.values()) clearTimeout(timer);
    this.#restarting.clear();
  }

  // ---- all threads

  #tick(now: number): void {
    this.#merge();
    if (now < this.#pingAt) return;
    this.#pingAt = now + PING_MS;
    for (const thread of this.#threads.values()) this.#ping(thread, now);
  }

  /**
   * Checks that the event loop of a thread runs. A thread that does not answer is ended, because it delays the senders
   * to its clients.
   */
  #ping(thread: RelayThreadProcess, now: number): void {
    const answeredMs = this.#answeredMs.get(thread) ?? now;
    if (now - answeredMs > HUNG_MS) {
      this.#parts.log.error({ thread: thread.index }, 'a relay thread does not answer any more');
      void thread.kill();
      return;
    }
    thread.port.ask('ping', null).then(
      () => {
        if (this.#answeredMs.has(thread)) this.#answeredMs.set(thread, this.#parts.clock.now);
      },
      () => undefined,
    );
  }

  #merge(): void {
    const counted = [...this.#threads.values()].flatMap(({ counters }) => (counters === null ? [] : [counters]));
    assignCounters(this.counters, mergeThreads(this.#parts.relay.counters, counted, [...this.#ended.values()]));
  }

  #tellAll(note: ThreadNote): void {
    for (const { port } of this.#threads.values()) port.tell(note);
  }

  /** Resolves when all have done it. A thread that ends meanwhile has nothing left to do. */
  async #askAll(ask: (thread: RelayThreadProcess) => Promise<unknown>): Promise<void> {
    await Promise.all(
      [...this.#threads.values()].map(async (thread) => {
        try {
          await ask(thread);
        } catch (error) {
          if (this.#threads.get(thread.index) === thread) internalError('relay thread', error);
        }
      }),
    );
  }

  #sum(read: (thread: RelayThreadProcess) => number): number {
    return [...this.#threads.values()].reduce((sum, thread) => sum + read(thread), 0);
  }
}
