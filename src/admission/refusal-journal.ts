import { sourcePath } from '../base/ip-prefix.ts';
import { parseHexKey, shortKey } from '../wire/keys.ts';
import type { Question, RefusalReason } from './source.ts';
import type { EventLog } from '../base/event-log.ts';
import type { TickingClock } from '../base/clock.ts';

/** Number of refusals that the admin listener shows. */
const KEPT = 256;
/** A key is logged once in this time. */
const QUIET_MS = 60_000;
/** Largest number of lines in that time, for all keys together: an attacker can use a new key for each connection. */
const LINES = 60;
/** Largest number of lines about one address in that time, so that one address does not hide the others. */
const LINES_OF_ADDRESS = 6;
/** Additional lines for open connections that were closed: clients that were never admitted cannot cause these. */
const LINES_OF_ENDED = 60;

/** A client was not admitted, or an open connection was closed. */
export interface RefusalEntry {
  /** ISO 8601. */
  readonly at: string;
  readonly source: string;
  readonly reason: RefusalReason;
  readonly detail: string;
  /** Short form, as in logs. */
  readonly key: string;
  readonly nodeKey: string;
  readonly ip: string;
  /** True when an open connection was closed. */
  readonly wasConnected: boolean;
}

/** When a key was logged, and its address. */
interface Logged {
  readonly at: number;
  readonly source: string;
}

/** Writes refusals to the log, with limits per key, per address and in total, and keeps the last ones for the admin page. */
export class RefusalJournal {
  readonly #clock: TickingClock;
  readonly #log: EventLog;
  readonly #now: () => number;
  readonly #entries: RefusalEntry[] = [];
  /** The last log entry of each key, oldest first. */
  readonly #logged = new Map<string, Logged>();
  readonly #loggedEnded = new Map<string, Logged>();
  #unlogged = 0;

  constructor(clock: TickingClock, log: EventLog, now: () => number) {
    this.#clock = clock;
    this.#log = log;
    this.#now = now;
  }

  /** The last refusals, newest first. */
  get entries(): readonly RefusalEntry[] {
    return this.#entries.toReversed();
  }

  /** Records a refusal. */
  add(question: Question, source: string, reason: RefusalReason, detail: string, wasConnected: boolean): void {
    const { key: hex, ip } = question;
    const key = shortKey(parseHexKey(hex)!);
    const at = new Date(this.#now()).toISOString();
    this.#entries.push({ at, source, reason, detail, key, nodeKey: `nodekey:${hex}`, ip, wasConnected });
    if (this.#entries.length > KEPT) this.#forgetOne();
    const table = wasConnected ? this.#loggedEnded : this.#logged;
    if (!this.#mayLog(table, hex, sourcePath(ip).at(-1)!, wasConnected ? LINES_OF_ENDED : LINES_OF_ADDRESS)) return;
    const more = this.#unlogged === 0 ? {} : { notLogged: this.#unlogged };
    this.#unlogged = 0;
    const message = wasConnected ? 'no longer admitted; the connection was closed' : 'not admitted';
    this.#log.info({ source, reason, key, from: ip, detail, ...more }, message);
  }

  /** Removes the oldest entry of the address that has the most entries, so that a flood does not displace all others. */
  #forgetOne(): void {
    const counts = new Map<string, number>();
    const nameOf = ({ ip, wasConnected }: RefusalEntry): string => `${wasConnected} ${sourcePath(ip).at(-1)!}`;
    for (const entry of this.#entries) counts.set(nameOf(entry), (counts.get(nameOf(entry)) ?? 0) + 1);
    const most = Math.max(...counts.values());
    this.#entries.splice(
      this.#entries.findIndex((entry) => counts.get(nameOf(entry)) === most),
      1,
    );
  }

  #mayLog(table: Map<string, Logged>, key: string, source: string, linesOfSource: number): boolean {
    const { now } = this.#clock;
    for (const [old, { at }] of table) {
      if (now - at < QUIET_MS) break;
      table.delete(old);
    }
    if (table.has(key)) return false;
    const ofSource = [...table.values()].filter((logged) => logged.source === source).length;
    if (table.size >= LINES || ofSource >= linesOfSource) {
      this.#unlogged++;
      return false;
    }
    table.set(key, { at: now, source });
    return true;
  }
}
