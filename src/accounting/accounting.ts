import { join } from 'node:path';
import { errorMessage } from '../base/errors.ts';
import type { AccountingConfig } from '../config/schema/accounting.ts';
import type { MetricDefinition } from '../observe/metrics.ts';
import { ThreadStore } from './thread-store.ts';
import { STORE_FILE, type TrafficRow, type UsedBytes } from './traffic-store.ts';
import { dayOf } from './usage.ts';
import type { EventLog } from '../base/event-log.ts';
import type { Writable } from '../base/writable.ts';

/** Most rows that wait in memory while they cannot be written: about 40 MB. Further rows are not counted. */
const MOST_WAITING = 100_000;
/** Largest number of rows in one message to the store. */
const ROWS_AT_ONCE = 10_000;
const DAY_MS = 86_400_000;

/**
 * Keeps the traffic by key and day on disk. Counts wait in memory for at most `flushSeconds`. They wait longer while
 * the disk is full or the file is locked: the log then says so once, and only rows above {@link MOST_WAITING} are lost.
 */
export class Accounting {
  readonly #config: AccountingConfig;
  readonly #log: EventLog<'info' | 'warn'>;
  readonly #store: ThreadStore;
  #waiting = new Map<string, Writable<TrafficRow>>();
  #writing: Promise<void> | null = null;
  #writtenAt = 0;
  #forgotUntil = '';
  #problem: string | null = null;
  #lostRows = 0;

  constructor(config: AccountingConfig, log: EventLog<'info' | 'warn'>) {
    this.#config = config;
    this.#log = log;
    this.#store = new ThreadStore(join(config.directory, STORE_FILE));
  }

  /**
   * Returns what each key has sent in `day` and in its month so far; null, with a warning, when the store cannot be
   * read.
   */
  async used(day: string): Promise<readonly UsedBytes[] | null> {
    try {
      return await this.#store.used(day);
    } catch (error) {
      this.#failed(error);
      return null;
    }
  }

  /** Adds traffic, to be written with the next {@link flush}. */
  add(row: TrafficRow): void {
    const name = `${row.day} ${row.path} ${row.key}`;
    const known = this.#waiting.get(name);
    if (known === undefined) {
      if (this.#waiting.size < MOST_WAITING) this.#waiting.set(name, { ...row });
      else this.#lostRows++;
      return;
    }
    known.sentBytes += row.sentBytes;
    known.sentPackets += row.sentPackets;
    known.receivedBytes += row.receivedBytes;
    known.receivedPackets += row.receivedPackets;
  }

  /** Returns whether it is time to write; `now` is monotonic, in milliseconds. */
  isDue(now: number): boolean {
    if (now - this.#writtenAt < this.#config.flushSeconds * 1000) return false;
    this.#writtenAt = now;
    return true;
  }

  /** Writes the waiting counts. Resolves when they are on disk, or cannot be written now. */
  async flush(): Promise<void> {
    // While a slow disk is busy, counts keep waiting.
    this.#writing ??= this.#write().finally(() => (this.#writing = null));
    await this.#writing;
  }

  /** Closes the store. Writes the waiting counts first if `isWanted`. */
  async close(isWanted: boolean): Promise<void> {
    await this.#writing;
    if (isWanted) await this.flush();
    await this.#store.close();
  }

  metrics(): MetricDefinition[] {
    return [
      {
        name: 'towpath_accounting_up',
        help: '1 when the traffic by key can be written to the disk, else 0.',
        type: 'gauge',
        labels: [],
        read: () => [[{}, this.#problem === null ? 1 : 0]],
      },
      {
        name: 'towpath_accounting_waiting_rows',
        help: 'Counts of keys that wait to be written to the disk.',
        type: 'gauge',
        labels: [],
        read: () => [[{}, this.#waiting.size]],
      },
      {
        name: 'towpath_accounting_lost_rows_total',
        help: 'Counts of keys that were not kept, because too many wait for the disk.',
        type: 'counter',
        labels: [],
        read: () => [[{}, this.#lostRows]],
      },
    ];
  }

  async #write(): Promise<void> {
    const rows = [...this.#waiting.values()];
    if (rows.length === 0) return;
    this.#waiting = new Map();
    const before = dayOf(Date.now() - this.#config.keepDays * DAY_MS);
    const forgetBefore = before === this.#forgotUntil ? null : before;
    for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
      try {
        await this.#store.add(rows.slice(at, at + ROWS_AT_ONCE), forgetBefore);
        this.#forgotUntil = before;
      } catch (error) {
        for (const row of rows.slice(at)) this.add(row);
        this.#failed(error);
        return;
      }
    }
    if (this.#problem === null) return;
    this.#problem = null;
    this.#log.info({ rows: rows.length }, 'the accounting is written to the disk again');
  }

  #failed(error: unknown): void {
    const problem = errorMessage(error);
    if (problem === this.#problem) return;
    this.#problem = problem;
    const { directory } = this.#config;
    const advice = problem.includes('not a database')
      ? `move ${STORE_FILE} away, and the relay makes a new one`
      : 'check that the relay may write in this directory and that the disk has room';
    this.#log.warn(
      { directory, error: problem, advice },
      'the accounting cannot be written to the disk; it continues in memory only',
    );
  }
}
