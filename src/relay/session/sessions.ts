import type { AdmissionVerdict } from './admission.ts';
import { CLOCK_TICK_MS } from '../../base/clock.ts';
import { TimingWheel } from '../../base/timing-wheel.ts';
import type { Stream } from '../../transport/port.ts';
import type { Recipient } from '../routing/recipient.ts';
import type { SessionContext } from './context.ts';
import { drainSessions, type DrainPlan } from './drain.ts';
import { findMeshKey } from './mesh-key.ts';
import { Session, type UpgradeFacts } from './session.ts';
import { SessionState } from './session-state.ts';
import type { SessionSnapshot } from './traffic.ts';

/** Open connections that are reviewed at one time; a source bounds its requests besides. */
const REVIEWS_AT_ONCE = 16;

/** What the sessions of a relay share, but for what {@link Sessions} adds. */
export type SessionParts = Omit<SessionContext, 'wheel' | 'ended'>;

/** The limits that may change while sessions are open. */
export type ChangingLimits = Pick<SessionContext, 'rate' | 'keyLimits' | 'weightOf'>;

/** Says whether the open connection of `key` from `ip` may stay. */
export type Reviewer = (key: Buffer, ip: string) => AdmissionVerdict | Promise<AdmissionVerdict>;

/**
 * All sessions of one relay, and their only owner: it starts them, forgets those that have ended, lets their time
 * pass, and does whatever is done to all of them.
 */
export class Sessions {
  readonly #all = new Map<Recipient, Session>();
  readonly #context: SessionContext;
  readonly #stopTicking: () => void;

  constructor(parts: SessionParts) {
    const { clock } = parts;
    const wheel = new TimingWheel(CLOCK_TICK_MS, clock.now);
    this.#context = { ...parts, wheel, ended: (session) => this.#all.delete(session) };
    this.#stopTicking = clock.onTick((now) => wheel.advance(now));
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

  /** Takes over new limits, which begin with full bursts for everybody. */
  setLimits(limits: ChangingLimits): void {
    Object.assign(this.#context, limits);
    for (const session of this.#all.values()) session.setLimits();
  }

  /** Accepts these mesh keys from now on, 32 bytes each, and ends connections that came with another one. */
  setMeshKeys(meshKeys: readonly Buffer[]): void {
    this.#context.meshKeys = meshKeys;
    for (const session of [...this.#all.values()]) {
      const { meshKey } = session;
      if (meshKey === null || findMeshKey(meshKeys, meshKey) !== null) continue;
      session.expel('mesh_key', 'its mesh key is not accepted any more');
    }
  }

  /**
   * Asks `reviewer` about each connection that is open now, some at a time, and ends those that may not stay. Resolves
   * when all were asked. `failed` is told what a review threw; the connection stays then.
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

  /** Tells all clients when to come back, and ends their connections spread over the time of the plan. */
  async drain(plan: DrainPlan): Promise<void> {
    await drainSessions([...this.#all.values()], plan, this.#context.clock);
  }

  /** Ends all connections in good order and stops looking at deadlines. */
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
