import type { ConnectionRow } from '../../api/shapes.ts';
import type { SessionSnapshot } from '../../relay/session/traffic.ts';
import { shortKey } from '../../wire/keys.ts';

/** Facts about a node key in addition to its connections. */
interface NodeFacts {
  /** Empty when unknown, as is the owner. */
  readonly name: string;
  readonly owner: string;
}

/**
 * Looks up a node key (64 hex digits) that the admission source of this name has admitted; null when nothing is known.
 */
export type Describe = (key: string, admittedBy: string) => NodeFacts | null;

/** Bytes of a connection at the previous snapshot. */
interface Before {
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/**
 * Makes rows of the API from snapshots of the sessions. It remembers the bytes of the previous snapshot for the rates,
 * so the caller must pass each snapshot in order.
 */
export class ConnectionRows {
  readonly #describe: Describe;
  #before = new Map<string, Before>();
  #atMs = -Infinity;

  constructor(describe: Describe) {
    this.#describe = describe;
  }

  /**
   * Returns the rows of all sessions at `nowMs`, a clock that never goes back; `wallMs` is the same moment since 1970.
   */
  take(sessions: readonly SessionSnapshot[], nowMs: number, wallMs: number): ConnectionRow[] {
    const seconds = (nowMs - this.#atMs) / 1000;
    const after = new Map<string, Before>();
    const rows = sessions.map((session) => {
      const id = idOf(session);
      after.set(id, session);
      return this.#row(session, this.#before.get(id), seconds, wallMs);
    });
    this.#before = after;
    this.#atMs = nowMs;
    return rows;
  }

  /** Forgets the previous snapshot: the next rows have no rates. */
  forget(): void {
    this.#before = new Map();
    this.#atMs = -Infinity;
  }

  #row(session: SessionSnapshot, before: Before | undefined, seconds: number, wallMs: number): ConnectionRow {
    const { key, ageMs, drops } = session;
    const facts = key === null ? null : this.#describe(key, session.admittedBy);
    const rate = (now: number, then: number | undefined): number | null => {
      if (then !== undefined) return Math.max(0, (now - then) / seconds);
      // A connection that is younger than the previous snapshot has an age to divide by.
      return ageMs > 0 && ageMs < seconds * 1000 && seconds !== Infinity ? (now * 1000) / ageMs : null;
    };
    return {
      id: idOf(session),
      thread: session.thread ?? 0,
      key: key === null ? null : `nodekey:${key}`,
      shortKey: key === null ? '' : shortKey(Buffer.from(key, 'hex')),
      name: facts?.name || null,
      owner: facts?.owner || null,
      tier: session.tier || null,
      state: session.isOpen ? 'open' : 'connecting',
      ip: session.ip,
      port: session.port,
      isBehindProxy: session.isBehindProxy,
      isWebSocket: session.isWebSocket,
      since: new Date(wallMs - ageMs).toISOString(),
      ageSeconds: Math.round(ageMs) / 1000,
      isHome: session.isHome,
      isDuplicate: session.isDuplicate,
      app: session.app,
      admittedBy: session.admittedBy,
      received: {
        bytes: session.receivedBytes,
        packets: session.receivedPackets,
        bytesPerSecond: rate(session.receivedBytes, before?.receivedBytes),
      },
      sent: {
        bytes: session.sentBytes,
        packets: session.sentPackets,
        bytesPerSecond: rate(session.sentBytes, before?.sentBytes),
      },
      drops,
      droppedPackets: sumOf(drops),
      queuedBytes: session.queuedBytes,
    };
  }
}

/** Returns the id of a session. Its number is unique only in its thread. */
function idOf({ number, thread }: SessionSnapshot): string {
  return thread === undefined ? String(number) : `${thread}-${number}`;
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  let sum = 0;
  for (const name in counts) sum += counts[name]!;
  return sum;
}
