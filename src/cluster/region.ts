/**
 * What the relays of a region tell each other through a Valkey or Redis server: bytes of keys with a quota, connections of
 * keys, and what operators do to keys. In rounds every two seconds, never for a packet or a handshake. Each relay stores its
 * own totals, so a round that failed is simply done again, and a server that lost its data is filled again.
 */
import { errorMessage } from '../base/errors.ts';
import type { KeyUsage } from '../accounting/usage.ts';
import type { MetricDefinition } from '../observe/metrics.ts';
import { crowdedOut, decodeOpened, encodeOpened, type OpenConnection } from './connections.ts';
import type { Valkey } from './valkey.ts';

const ROUND_MS = 2000;
/** How long the first connection may take before it counts as missing. */
const CONNECT_MS = 3000;
const DAY_MS = 86_400_000;
/** A relay that was not there for so long has nothing that counts in this month. */
const RELAY_MS = 32 * DAY_MS;
/** How long the counts of a day and a month are kept beyond their end. */
const DAY_SECONDS = 2 * 86_400;
const MONTH_SECONDS = 33 * 86_400;
/** What is said of connections is said again after this, and believed for that long. */
const REPEAT_MS = 60_000;
const BELIEVED_MS = 150_000;
/** Keys of one round whose connections are told of, and commands that are under way at once. */
const KEYS_AT_ONCE = 500;
const EVENTS = 'events';
const MOST_EVENTS = 10_000;
const EVENTS_AT_ONCE = 1000;
/** Events of ours that wait for the server; the oldest is lost first. */
const MOST_WAITING = 1000;
/** A disconnect that is older than this is no news. */
const FRESH_MS = 60_000;

/** What an operator has done to a key (64 hex digits), for all relays. */
export type RegionEvent =
  | { readonly kind: 'deny'; readonly key: string; readonly until: number; readonly reason: string }
  | { readonly kind: 'allow' | 'disconnect'; readonly key: string };

/** The relay, as the region sees it. */
export interface RegionMember {
  /** The present day of UTC. */
  readonly day: string;
  keysWithQuota(): Iterable<string>;
  own(key: string): KeyUsage;
  /** What this relay had stored before it was started. */
  adopt(key: string, stored: KeyUsage): void;
  setOthers(key: string, dayBytes: number, monthBytes: number): void;
  /** The usage of these keys has changed. */
  changed(keys: readonly string[]): void;
  /** Its connections of a key; none when it has none. */
  connections(key: string): readonly OpenConnection[];
  connectionLimit(key: string): number;
  /** Ends one connection of a key: the region has too many. */
  end(key: string, connection: OpenConnection): void;
  /** Does what an operator has done at another relay. */
  apply(event: RegionEvent): void;
}

export interface RegionParts {
  readonly valkey: Valkey;
  /** Names this relay for the others. */
  readonly relayId: string;
  readonly member: RegionMember;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
  /** A sentence for the operator while the server is away; null when it is there. */
  readonly noted: (note: string | null) => void;
}

export class Region {
  readonly #parts: RegionParts;
  /** What was stored of each key: its counts of the day, by `day key`. */
  readonly #stored = new Map<string, number>();
  #day = '';
  /** Keys whose connections are to be told of, and when each was told of last. */
  readonly #due = new Set<string>();
  readonly #toldAt = new Map<string, number>();
  #waiting: RegionEvent[] = [];
  #lastEvent = '0';
  #hasEvents = false;
  #roundAt = 0;
  /** Until then, a connection that is not there yet is no news. */
  #connectedBy: number | null = null;
  #isInRound = false;
  #isAway = false;
  #problem = '';
  #rounds = 0;

  constructor(parts: RegionParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#parts.valkey.open();
  }

  /** A loss of the connection, for the log; the next round finds it. */
  lost(problem: string): void {
    this.#problem = problem;
    if (!this.#isInRound) this.#away(problem);
  }

  /** The connections of a key have changed. */
  connectionsChanged(key: string): void {
    this.#due.add(key);
  }

  /** Tells the other relays what an operator has done here. */
  announce(event: RegionEvent): void {
    this.#waiting.push(event);
    if (this.#waiting.length > MOST_WAITING) this.#waiting.shift();
  }

  /** To be called every clock tick, with the monotonic clock in milliseconds. */
  tick(now: number): void {
    if (now < this.#roundAt || this.#isInRound) return;
    this.#connectedBy ??= now + CONNECT_MS;
    if (this.#rounds === 0 && !this.#parts.valkey.isReady && now < this.#connectedBy) return;
    this.#roundAt = now + ROUND_MS;
    void this.round();
  }

  /** One exchange; never rejects. */
  async round(): Promise<void> {
    this.#isInRound = true;
    try {
      const now = Date.now();
      const { valkey, relayId } = this.#parts;
      const relays = await valkey.present('relays', relayId, now, now - RELAY_MS);
      await this.#exchangeUsage(relays.filter((relay) => relay !== relayId));
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

  /** A last round, so that others know what was counted here, and the end of the connection. */
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

  async #exchangeUsage(others: readonly string[]): Promise<void> {
    const { member, relayId, valkey } = this.#parts;
    const { day } = member;
    const month = day.slice(0, 7);
    if (day !== this.#day) this.#stored.clear();
    this.#day = day;
    const keys = [...member.keysWithQuota()];
    const name = (relay: string, period: string, key: string): string => `${period}:${relay}:${key}`;
    for (let at = 0; at < keys.length; at += KEYS_AT_ONCE) {
      const some = keys.slice(at, at + KEYS_AT_ONCE);
      const unknown = some.filter((key) => !this.#stored.has(key));
      const before = await valkey.counts(
        unknown.flatMap((key) => [name(relayId, day, key), name(relayId, month, key)]),
      );
      for (const [i, key] of unknown.entries()) {
        member.adopt(key, { dayBytes: before[2 * i]!, monthBytes: before[2 * i + 1]! });
      }
      await Promise.all(
        some.map(async (key) => {
          const { dayBytes, monthBytes } = member.own(key);
          // The bytes of a month change only with those of a day.
          if (this.#stored.get(key) === monthBytes) return;
          await valkey.setCount(name(relayId, day, key), dayBytes, DAY_SECONDS);
          await valkey.setCount(name(relayId, month, key), monthBytes, MONTH_SECONDS);
          this.#stored.set(key, monthBytes);
        }),
      );
      const names = some.flatMap((key) => others.flatMap((relay) => [name(relay, day, key), name(relay, month, key)]));
      const counts = await valkey.counts(names);
      for (const [i, key] of some.entries()) {
        const ofKey = counts.slice(2 * i * others.length, 2 * (i + 1) * others.length);
        const sum = (from: number): number => ofKey.filter((_, j) => j % 2 === from).reduce((a, b) => a + b, 0);
        member.setOthers(key, sum(0), sum(1));
      }
      member.changed(some);
    }
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

  /** At the start, denials that still hold are taken over, also our own: the process that made them has ended. */
  async #takeEvents(now: number): Promise<void> {
    const { relayId, valkey, member } = this.#parts;
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
    const ours = member.connections(key);
    const said = ours.length === 0 ? null : encodeOpened(ours, now + BELIEVED_MS);
    const all = await valkey.setField(`connections:${key}`, relayId, said, BELIEVED_MS / 1000);
    this.#due.delete(key);
    if (said === null) this.#toldAt.delete(key);
    else this.#toldAt.set(key, now);
    const others = Object.entries(all).filter(([relay]) => relay !== relayId);
    const opened = others.flatMap(([, text]) => decodeOpened(text, now));
    const limit = member.connectionLimit(key);
    for (const connection of crowdedOut(ours, opened, limit)) member.end(key, connection);
    // Somebody else has the older one, and does not look at this key by itself.
    const isNew = ours.some(({ openedAt }) => now - openedAt < REPEAT_MS);
    if (isNew && opened.length > 0 && ours.length + opened.length > limit) {
      await valkey.append(EVENTS, { relay: relayId, kind: 'crowded', key }, MOST_EVENTS);
    }
  }

  #away(problem: string): void {
    if (this.#isAway) return;
    this.#isAway = true;
    const note = `the Valkey server of the region is away (${problem}); limits count for this relay alone`;
    this.#parts.log.warn(
      { error: problem },
      'the Valkey server of the region is away; limits count for this relay alone',
    );
    this.#parts.noted(note);
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

/** Ids of events begin with the time of the server. */
function isNews(event: RegionEvent, id: string, now: number): boolean {
  if (event.kind === 'deny') return event.until > now;
  return event.kind === 'allow' || now - Number(id.split('-')[0]) < FRESH_MS;
}
