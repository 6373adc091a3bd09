import { parseHexKey, shortKey } from '../wire/keys.ts';
import type { AdmissionLog, Question, RefusalReason, TickingClock } from './source.ts';

/** The last refusals that the admin listener shows. */
const KEPT = 256;
/** A key is logged once in this time. */
const QUIET_MS = 60_000;
/** Lines in that time, whatever the number of keys: a stranger can make up keys as fast as it connects. */
const LINES = 60;

/** Somebody was not let in, or was sent away. */
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
  /** True when an open connection was ended. */
  readonly wasConnected: boolean;
}

/** Writes refusals to the log, each key once a minute and in bounded number, and keeps the last ones for people. */
export class RefusalJournal {
  readonly #clock: TickingClock;
  readonly #log: AdmissionLog;
  readonly #now: () => number;
  readonly #entries: RefusalEntry[] = [];
  /** When each key was logged, oldest first. */
  readonly #logged = new Map<string, number>();
  #unlogged = 0;

  constructor(clock: TickingClock, log: AdmissionLog, now: () => number) {
    this.#clock = clock;
    this.#log = log;
    this.#now = now;
  }

  /** The last refusals, newest first. */
  get entries(): readonly RefusalEntry[] {
    return this.#entries.toReversed();
  }

  /** Takes note of a refusal. */
  add(question: Question, source: string, reason: RefusalReason, detail: string, wasConnected: boolean): void {
    const { key: hex, ip } = question;
    const key = shortKey(parseHexKey(hex)!);
    const at = new Date(this.#now()).toISOString();
    this.#entries.push({ at, source, reason, detail, key, nodeKey: `nodekey:${hex}`, ip, wasConnected });
    if (this.#entries.length > KEPT) this.#entries.shift();
    if (!this.#mayLog(hex)) return;
    const more = this.#unlogged === 0 ? {} : { notLogged: this.#unlogged };
    this.#unlogged = 0;
    const message = wasConnected ? 'not admitted any more; the connection was ended' : 'not admitted';
    this.#log.info({ source, reason, key, from: ip, detail, ...more }, message);
  }

  #mayLog(key: string): boolean {
    const { now } = this.#clock;
    for (const [old, at] of this.#logged) {
      if (now - at < QUIET_MS) break;
      this.#logged.delete(old);
    }
    if (this.#logged.has(key)) return false;
    if (this.#logged.size >= LINES) {
      this.#unlogged++;
      return false;
    }
    this.#logged.set(key, now);
    return true;
  }
}
