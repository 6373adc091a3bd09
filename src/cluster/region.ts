/**
 * Shares data between the relays of a region through a Valkey or Redis server: bytes of keys with a quota, connections
 * of keys, and actions of operators on keys. It works in rounds every two seconds, never for a packet or a handshake.
 * Each relay stores its own totals, so a failed round can be repeated, and a server that lost its data is filled again. Times
 * are those of the server: the clocks of the relays may differ.
 */
import { errorMessage } from '../base/errors.ts';
import type { MetricDefinition } from '../observe/metrics.ts';
import { crowdedOut, decodeOpened, encodeOpened, type OpenConnection } from './connections.ts';
import { SharedUsage, type UsageMember } from './shared-usage.ts';
import type { Valkey } from './valkey.ts';
import type { EventLog } from '../base/event-log.ts';

const ROUND_MS = 2000;
/** Time limit of the first connection. */
const CONNECT_MS = 3000;
const DAY_MS = 86_400_000;
/** A relay that was away for this long has no bytes in the present month. */
const RELAY_MS = 32 * DAY_MS;
/** Records of connections are sent again after `REPEAT_MS`, and are valid for `BELIEVED_MS`. */
const REPEAT_MS = 60_000;
const BELIEVED_MS = 150_000;
/** Most keys per round whose connections are sent, and most commands at once. */
const KEYS_AT_ONCE = 500;
const EVENTS = 'events';
const MOST_EVENTS = 10_000;
const EVENTS_AT_ONCE = 1000;
/** Most own events that wait for the server. The oldest is dropped first. */
const MOST_WAITING = 1000;
/** A smaller difference of the clocks is not corrected, so that the times of connections do not change in each round. */
const LEAST_SKEW_MS = 1000;
/** While the server is away, another reason is logged after this time. */
const LOG_EVERY_MS = 60_000;
/** A disconnect that is older than this is ignored. */
const FRESH_MS = 60_000;

/** An operator's action on a key (64 hex digits), for all relays. */
export type RegionEvent =
  | { readonly kind: 'deny'; readonly key: string; readonly until: number; readonly reason: string }
  | { readonly kind: 'allow' | 'disconnect'; readonly key: string };

/** The relay's side of the exchange. */
export interface RegionMember extends UsageMember {
  /** Its connections of a key; empty when there are none. */
  connections(key: string): readonly OpenConnection[];
  connectionLimit(key: string): number;
  /** Ends one connection of a key, because the region has too many. */
  end(key: string, connection: OpenConnection): void;
  /** Runs an operator's action of another relay here. */
  apply(event: RegionEvent): void;
}

export interface RegionParts {
  readonly valkey: Pick<Valkey, keyof Valkey>;
  /** Names this relay for the others. */
  readonly relayId: string;
  readonly member: RegionMember;
  readonly log: EventLog<'info' | 'warn'>;
  /** Receives a sentence for the operator while the server does not answer; null when it answers again. */
  readonly noted: (note: string | null) => void;
  /** Returns the time of this machine in milliseconds since 1970; default: `Date.now`. */
  readonly now?: () => number;
}

/** Exchanges data with the other relays of the region, in rounds. */
export class Region {
  readonly #parts: RegionParts;
  readonly #usage: SharedUsage;
  /** Time of the server minus time of this machine, in milliseconds. */
  #skewMs = 0;
  /** Keys whose connections must be sent, and when each was last sent. */
  readonly #due = new Set<string>();
  readonly #toldAt = new Map<string, number>();
  #waiting: RegionEvent[] = [];
  #lastEvent = '0';
  #hasEvents = false;
  #roundAt = 0;
  /** Until this time, a missing connection to the server is not reported. */
  #connectedBy: number | null = null;
  #isInRound = false;
  #isAway = false;
  #problem = '';
  /** The reason that the operator sees now, and when one was last logged. */
  #noted = '';
  #loggedAt = 0;
  #rounds = 0;

  constructor(parts: RegionParts) {
    this.#parts = parts;
    this.#usage = new SharedUsage(parts.valkey, parts.relayId, parts.member);
  }

  /** Connects to the server. {@link tick} makes the rounds. */
  start(): void {
    this.#parts.valkey.open();
  }

  /** Records the loss of the connection, for the log. The next round notices it. */
  lost(problem: string): void {
    this.#problem = problem;
    if (!this.#isInRound) this.#away(problem);
  }

  /**
   * Records that the connections of a key have changed. The next round sends them. A key that left before it was sent is
   * forgotten, so that nothing grows while the server is away.
   */
  connectionsChanged(key: string): void {
    if (this.#toldAt.has(key) || this.#parts.member.connections(key).length > 0) this.#due.add(key);
    else this.#due.delete(key);
  }

  /** Shares the bytes of a key that has a quota, even if it leaves before the next round. */
  follow(key: string): void {
    this.#usage.follow(key);
  }

  /** Sends an operator's action to the other relays. */
  announce(event: RegionEvent): void {
    this.#waiting.push(event);
    if (this.#waiting.length > MOST_WAITING) this.#waiting.shift();
  }

  /** Called at every clock tick, with the monotonic time in milliseconds. */
  tick(now: number): void {
    if (now < this.#roundAt || this.#isInRound) return;
    this.#connectedBy ??= now + CONNECT_MS;
    if (this.#rounds === 0 && !this.#parts.valkey.isReady && now < this.#connectedBy) return;
    this.#roundAt = now + ROUND_MS;
    void this.round();
  }

  /** Makes one exchange; never rejects. */
  async round(): Promise<void> {
    this.#isInRound = true;
    try {
      const now = await this.#serverTime();
      const { valkey, relayId } = this.#parts;
      const relays = await valkey.present('relays', relayId, now, now - RELAY_MS);
      await this.#usage.exchange(relays.filter((relay) => relay !== relayId));
      await this.#sendEvents();
      await this.#takeEvents(now);
      await this.#exchangeConnections(now);
      this.#rounds++;
      this.#back();
    } catch (error) {
      this.#away(this.#problem || errorMessage(error));
    } finally {
      this.#isInRound = false;
    }
  }

  /** Makes a last round, so that the others have this relay's counts, and closes the connection. */
  async stop(): Promise<void> {
    if (!this.#isInRound && this.#parts.valkey.isReady) await this.round();
    this.#parts.valkey.close();
  }

  metrics(): MetricDefinition[] {
    return [
      {
        name: 'towpath_cluster_up',
        help: '1 while the Valkey or Redis server of the region answers, else 0.',
        type: 'gauge',
        labels: [],
        read: () => [[{}, this.#isAway || this.#rounds === 0 ? 0 : 1]],
      },
      {
        name: 'towpath_cluster_rounds_total',
        help: 'Exchanges of counts with the other relays of the region.',
        type: 'counter',
        labels: [],
        read: () => [[{}, this.#rounds]],
      },
    ];
  }

  /** Returns the time of the server, and corrects the difference to the time of this machine. */
  async #serverTime(): Promise<number> {
    const { log, now = Date.now, valkey } = this.#parts;
    const askedAt = now();
    const time = await valkey.time();
    const answeredAt = now();
    const skewMs = Math.round(time - (askedAt + answeredAt) / 2);
    if (Math.abs(skewMs - this.#skewMs) >= LEAST_SKEW_MS + answeredAt - askedAt) {
      this.#skewMs = skewMs;
      log.warn(
        { seconds: skewMs / 1000 },
        'the clocks of this relay and of the Valkey server differ; the time of the server is used for connections, that of the relay for days',
      );
    }
    return answeredAt + this.#skewMs;
  }

  async #sendEvents(): Promise<void> {
    const { relayId, valkey } = this.#parts;
    for (let event = this.#waiting[0]; event !== undefined; event = this.#waiting[0]) {
      const { kind, key } = event;
      const more = event.kind === 'deny' ? { until: String(event.until), reason: event.reason } : {};
      await valkey.append(EVENTS, { relay: relayId, kind, key, ...more }, MOST_EVENTS);
      this.#waiting.shift();
    }
  }

  /**
   * At the start, denials that are still valid are taken over, including our own, because the process that made them
   * has ended.
   */
  async #takeEvents(now: number): Promise<void> {
    const { relayId, valkey, member } = this.#parts;
    const latest = await valkey.latestEvent(EVENTS);
    // The server has lost its events, and numbers the new ones by a clock that is behind: all of them are new.
    if (isBefore(latest, this.#lastEvent)) this.#lastEvent = '0';
    for (;;) {
      const events = await valkey.eventsAfter(EVENTS, this.#lastEvent, EVENTS_AT_ONCE);
      for (const { id, fields } of events) {
        this.#lastEvent = id;
        if (fields['relay'] === relayId && this.#hasEvents) continue;
        const event = eventOf(fields);
        if (event === 'crowded') this.#due.add(fields['key']!);
        else if (event !== null && isNews(event, id, now)) member.apply(event);
      }
      if (events.length < EVENTS_AT_ONCE) break;
    }
    this.#hasEvents = true;
  }

  async #exchangeConnections(now: number): Promise<void> {
    for (const [key, at] of this.#toldAt) if (now - at >= REPEAT_MS) this.#due.add(key);
    const keys = [...this.#due];
    for (let at = 0; at < keys.length; at += KEYS_AT_ONCE) {
      await Promise.all(keys.slice(at, at + KEYS_AT_ONCE).map((key) => this.#tellConnections(key, now)));
    }
  }

  async #tellConnections(key: string, now: number): Promise<void> {
    const { member, relayId, valkey } = this.#parts;
    const ours = member.connections(key).map((one) => ({ ...one, openedAt: one.openedAt + this.#skewMs }));
    const said = ours.length === 0 ? null : encodeOpened(ours, now + BELIEVED_MS);
    // Before the answer: a connection that changes meanwhile is sent in the next round.
    this.#due.delete(key);
    this.#toldAt.set(key, now);
    let all: Readonly<Record<string, string>>;
    try {
      all = await valkey.setField(`connections:${key}`, relayId, said, BELIEVED_MS / 1000);
    } catch (error) {
      this.#due.add(key);
      throw error;
    }
    if (said === null && !this.#due.has(key)) this.#toldAt.delete(key);
    const others = Object.entries(all).filter(([relay]) => relay !== relayId);
    const opened = others.flatMap(([, text]) => decodeOpened(text, now));
    const limit = member.connectionLimit(key);
    for (const connection of crowdedOut(ours, opened, limit)) member.end(key, connection);
    // Another relay has the older connection, and does not check this key by itself.
    const isNew = ours.some(({ openedAt }) => now - openedAt < REPEAT_MS);
    if (isNew && opened.length > 0 && ours.length + opened.length > limit) {
      await valkey.append(EVENTS, { relay: relayId, kind: 'crowded', key }, MOST_EVENTS);
    }
  }

  #away(problem: string): void {
    if (this.#isAway && problem === this.#noted) return;
    const { log, noted, now = Date.now } = this.#parts;
    // The first reason is often only that the connection ended; the next one says why it cannot be opened again.
    const isNews = !this.#isAway || Math.abs(now() - this.#loggedAt) >= LOG_EVERY_MS;
    if (!this.#isAway) {
      // The server may have lost its data when it is back.
      for (const key of this.#toldAt.keys()) this.#due.add(key);
    }
    this.#isAway = true;
    this.#noted = problem;
    noted(`the Valkey server of the region cannot be used (${problem}); limits count for this relay only`);
    if (!isNews) return;
    this.#loggedAt = now();
    log.warn({ error: problem }, 'the Valkey server of the region cannot be used; limits count for this relay only');
  }

  #back(): void {
    this.#problem = '';
    if (this.#rounds > 1 && !this.#isAway) return;
    this.#isAway = false;
    this.#parts.log.info({ rounds: this.#rounds }, 'counts are shared with the other relays of the region');
    this.#parts.noted(null);
  }
}

function eventOf(fields: Readonly<Record<string, string>>): RegionEvent | 'crowded' | null {
  const { kind, key = '', until, reason = '' } = fields;
  if (!/^[0-9a-f]{64}$/.test(key)) return null;
  if (kind === 'deny') return { kind, key, until: Number(until), reason };
  if (kind === 'crowded') return kind;
  return kind === 'allow' || kind === 'disconnect' ? { kind, key } : null;
}

/** Returns whether an id of an event, two numbers with `-` between, is before another. */
function isBefore(id: string, other: string): boolean {
  const [time = 0, number = 0] = id.split('-').map(Number);
  const [otherTime = 0, otherNumber = 0] = other.split('-').map(Number);
  return time < otherTime || (time === otherTime && number < otherNumber);
}

/** Ids of events begin with the time of the server. */
function isNews(event: RegionEvent, id: string, now: number): boolean {
  if (event.kind === 'deny') return event.until > now;
  return event.kind === 'allow' || now - Number(id.split('-')[0]) < FRESH_MS;
}
