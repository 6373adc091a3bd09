import type { AdmissionVerdict } from './admission.ts';
import { CLOCK_TICK_MS, SLOW_TICK_MS } from '../../base/clock.ts';
import { TimingWheel } from '../../base/timing-wheel.ts';
import type { Stream } from '../../transport/port.ts';
import type { Recipient } from '../routing/recipient.ts';
import type { SessionContext } from './context.ts';
import type { RefusalReason } from '../../observe/counters.ts';
import type { ClientLimits } from '../fairness/client-limits.ts';
import { drainSessions, type DrainPlan } from './drain.ts';
import { findMeshKey } from './mesh-key.ts';
import { KeyTrafficTable, type KeyTraffic } from './key-traffic.ts';
import { Session, type UpgradeFacts } from './session.ts';
import { SessionState } from './session-state.ts';
import type { SessionSnapshot } from './traffic.ts';

/** Open connections that are reviewed at the same time. Each source also limits its requests. */
const REVIEWS_AT_ONCE = 16;

/** The parts that all sessions share, without those that {@link Sessions} adds. */
export type SessionParts = Omit<SessionContext, 'wheel' | 'traffic' | 'ended'>;

/** The limits that may change while sessions are open. */
export type ChangingLimits = Pick<SessionContext, 'rate' | 'keyLimits'>;

/** New limits of a connected key, as plain data. */
export interface KeyLimitsChange {
  /** 32 bytes. */
  readonly key: Uint8Array;
  readonly limits: ClientLimits;
}

/** The end of the connections of a key, as plain data. */
export interface KeyEnding {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** The counted reason, and details for the log. */
  readonly refusal: RefusalReason;
  readonly detail: string;
  /** Only the connection from this address. */
  readonly remote?: { readonly ip: string; readonly port: number } | undefined;
}

/** Returns whether the open connection of `key` from `ip` may stay. */
export type Reviewer = (key: Buffer, ip: string) => AdmissionVerdict | Promise<AdmissionVerdict>;

/**
 * The only owner of all sessions of one relay: it starts them, removes the ended ones, runs their deadlines, and
 * applies changes to all of them.
 */
export class Sessions {
  readonly #all = new Map<Recipient, Session>();
  readonly #traffic = new KeyTrafficTable();
  readonly #context: SessionContext;
  readonly #stopTicking: () => void;

  constructor(parts: SessionParts) {
    const { clock } = parts;
    const wheel = new TimingWheel(CLOCK_TICK_MS, clock.now);
    const traffic = this.#traffic;
    this.#context = { ...parts, wheel, traffic, ended: (session) => this.#all.delete(session) };
    this.#stopTicking = clock.onTick((now) => {
      wheel.advance(now);
      clock.tickBy(wheel.nextDue(now + SLOW_TICK_MS));
    }, SLOW_TICK_MS);
  }

  /** Sessions of all states. */
  get count(): number {
    return this.#all.size;
  }

  /** Starts a session on `stream`. `head` is the response head that precedes the greeting, empty for fast start and WebSocket. */
  start(stream: Stream, facts: UpgradeFacts, head: string): Session {
    const session = new Session(stream, this.#context, facts, head);
    this.#all.set(session, session);
    return session;
  }

  /** Each session as plain data. */
  *snapshots(): IterableIterator<SessionSnapshot> {
    for (const session of this.#all.values()) yield session.snapshot();
  }

  /** Returns the traffic of each key since the last call; keys without traffic are left out. */
  takeTraffic(): KeyTraffic[] {
    for (const session of this.#all.values()) session.takeTraffic(this.#traffic);
    return this.#traffic.take();
  }

  /** Sets other limits of some keys for their open connections. A key that is not connected is skipped. */
  setKeyLimits(changes: readonly KeyLimitsChange[]): void {
    for (const { key, limits } of changes) {
      for (const session of this.#sessionsOf(key)) session.setOwnLimits(limits);
    }
  }

  /** Ends the open connections of some keys. Returns how many. */
  endKeys(endings: readonly KeyEnding[]): number {
    let ended = 0;
    for (const { key, refusal, detail, remote } of endings) {
      for (const session of [...this.#sessionsOf(key)]) {
        const { ip, port } = session.stream.remote;
        if (remote !== undefined && (remote.ip !== ip || remote.port !== port)) continue;
        session.expel(refusal, detail);
        ended++;
      }
    }
    return ended;
  }

  *#sessionsOf(key: Uint8Array): IterableIterator<Session> {
    const members = this.#context.router.table.named(Buffer.from(key))?.members ?? [];
    for (const member of members) {
      const session = this.#all.get(member);
      if (session !== undefined) yield session;
    }
  }

  /** Sets the names of refused programs, and ends their open connections. */
  setDeniedApps(names: ReadonlySet<string>): void {
    this.#context.deniedApps = names;
    if (names.size === 0) return;
    for (const session of this.#all.values()) {
      if (session.state === SessionState.Open && names.has(session.app)) session.expel('app_denied', session.app);
    }
  }

  /** Applies new limits. All keys begin with full bursts. */
  setLimits(limits: ChangingLimits): void {
    Object.assign(this.#context, limits);
    for (const session of this.#all.values()) session.setLimits();
  }

  /** Accepts these mesh keys from now on, 32 bytes each, and ends connections with another one. */
  setMeshKeys(meshKeys: readonly Buffer[]): void {
    this.#context.meshKeys = meshKeys;
    for (const session of [...this.#all.values()]) {
      const { meshKey } = session;
      if (meshKey === null || findMeshKey(meshKeys, meshKey) !== null) continue;
      session.expel('mesh_key', 'its mesh key is not accepted any more');
    }
  }

  /**
   * Asks `reviewer` about each connection that is open now, several at a time, and ends those that may not stay.
   * Resolves when all were asked. `failed` is called when a review throws; the connection then stays.
   */
  async review(reviewer: Reviewer, failed: (error: unknown) => void): Promise<void> {
    const waiting = [...this.#all.values()].values();
    const reviewNext = async (): Promise<void> => {
      for (const session of waiting) {
        try {
          await this.#reviewOne(session, reviewer);
        } catch (error) {
          failed(error);
        }
      }
    };
    await Promise.all(Array.from({ length: REVIEWS_AT_ONCE }, reviewNext));
  }

  /** Tells all clients when to reconnect, and ends their connections over the time of the plan. */
  async drain(plan: DrainPlan): Promise<void> {
    await drainSessions([...this.#all.values()], plan, this.#context.clock);
  }

  /** Ends all connections in order and stops the deadlines. */
  close(): void {
    for (const session of this.#all.values()) session.finish();
    this.#stopTicking();
  }

  async #reviewOne(session: Session, reviewer: Reviewer): Promise<void> {
    const { key } = session;
    if (session.state !== SessionState.Open || key === null || session.meshKey !== null) return;
    const verdict = reviewer(key, session.stream.remote.ip);
    const known = verdict instanceof Promise ? await verdict : verdict;
    if (!known.admitted) session.expel('not_admitted', `${known.source}: ${known.reason}`);
  }
}
