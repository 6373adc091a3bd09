import { SLOW_TICK_MS, type Clock } from '../base/clock.ts';
import type { EventLog } from '../base/event-log.ts';

/** Time between two lines about the same reason. */
const EVERY_MS = 10_000;
/** Most reasons with their own line. Others are counted as {@link OTHER}. */
const MAX_REASONS = 64;
const OTHER = 'other';

/** The events of one reason since the last line about it. */
interface Tally {
  count: number;
  sinceMs: number;
  detail: string;
}

interface EventSummaryOptions {
  readonly clock: Clock;
  readonly log: EventLog<'debug' | 'info' | 'warn'>;
  /** The verb, such as `refused`. */
  readonly verb: string;
  /** The noun, such as `connection`. */
  readonly noun: string;
  readonly level?: 'debug' | 'info' | 'warn';
  readonly everyMs?: number;
}

/**
 * Limits the log lines about refusals and drops. The first event of a reason gets a line at once. Later events get one
 * line per reason and interval, with the count and the last example, such as `refused 120 connections in 10 s:
 * tls_timeout (last from 203.0.113.7)`.
 */
export class EventSummary {
  readonly #clock: Clock;
  readonly #log: EventLog<'debug' | 'info' | 'warn'>;
  readonly #verb: string;
  readonly #noun: string;
  readonly #level: 'debug' | 'info' | 'warn';
  readonly #everyMs: number;
  readonly #tallies = new Map<string, Tally>();
  readonly #leaveClock: () => void;

  constructor(options: EventSummaryOptions) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#verb = options.verb;
    this.#noun = options.noun;
    this.#level = options.level ?? 'info';
    this.#everyMs = options.everyMs ?? EVERY_MS;
    this.#leaveClock = this.#clock.onTick((now) => this.#tick(now), SLOW_TICK_MS);
  }

  /** Counts one event. `detail` starts with the peer, and is repeated in the line if this is the last one. */
  add(reason: string, detail: string): void {
    const isKnown = this.#tallies.has(reason);
    const name = isKnown || this.#tallies.size < MAX_REASONS ? reason : OTHER;
    const tally = this.#tallies.get(name);
    if (tally === undefined) {
      this.#tallies.set(name, { count: 0, sinceMs: this.#clock.now, detail: '' });
      this.#log[this.#level]({ reason: name, count: 1 }, `${this.#verb} a ${this.#noun}: ${name} (from ${detail})`);
      return;
    }
    tally.count++;
    tally.detail = detail;
  }

  /** Writes the waiting lines. */
  flush(): void {
    for (const [reason, tally] of this.#tallies) this.#write(reason, tally, this.#clock.now);
    this.#tallies.clear();
  }

  /** Writes the waiting lines and unsubscribes from the clock. */
  close(): void {
    this.#leaveClock();
    this.flush();
  }

  #tick(now: number): void {
    for (const [reason, tally] of this.#tallies) {
      if (now - tally.sinceMs < this.#everyMs) continue;
      if (tally.count === 0) this.#tallies.delete(reason);
      else this.#write(reason, tally, now);
    }
  }

  #write(reason: string, tally: Tally, now: number): void {
    const { count, sinceMs, detail } = tally;
    if (count === 0) return;
    const noun = count === 1 ? this.#noun : `${this.#noun}s`;
    const seconds = Math.max(1, Math.round((now - sinceMs) / 1000));
    this.#log[this.#level](
      { reason, count },
      `${this.#verb} ${count} ${noun} in ${seconds} s: ${reason} (last from ${detail})`,
    );
    tally.count = 0;
    tally.sinceMs = now;
  }
}
