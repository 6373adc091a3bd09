import { createClient } from '@redis/client';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import { readSmallFile } from '../base/file-stamp.ts';
import { errorMessage, TowpathError } from '../base/errors.ts';
import type { ClusterConfig } from '../config/schema/cluster.ts';

/** Longest time for one command, and for a connection. */
const COMMAND_MS = 2000;
/**
 * A connection on which nothing was read or written for this time is closed: the server hangs, or the network drops its packets.
 * Rounds are shorter apart.
 */
const SILENCE_MS = 5000;
/** Shortest and longest pause between attempts to connect. The server may be away for days. */
const LEAST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;
const PASSWORD_BYTES = 4096;
/** Most names in one MGET. */
const NAMES_AT_ONCE = 1000;

/** One event of a relay, with the id that orders it. */
export interface StoredEvent {
  readonly id: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** A connection to the Valkey or Redis server of a region. Every call rejects while the server is away. */
export class Valkey {
  readonly #client: ReturnType<typeof createClient>;
  readonly #prefix: string;
  readonly #counters: RateLimiterRedis;

  /**
   * `prefix` begins the name of everything that is stored. `failed` is called for each loss of the connection. {@link
   * open} connects.
   */
  constructor(config: ClusterConfig, prefix: string, failed: (problem: string) => void) {
    const url = config.valkey!;
    const reconnectStrategy = (retries: number): number =>
      Math.min(LEAST_PAUSE_MS * 2 ** Math.min(retries, 10), LONGEST_PAUSE_MS) * (0.75 + Math.random() * 0.5);
    const password = config.passwordFile === undefined ? {} : { password: readPassword(config.passwordFile) };
    const common = { reconnectStrategy, connectTimeout: COMMAND_MS, socketTimeout: SILENCE_MS };
    const isUnix = url.startsWith('unix://');
    this.#client = createClient({
      ...(isUnix
        ? { socket: { path: url.slice('unix://'.length), ...common } }
        : { url: url.replace(/^valkey/, 'redis'), socket: common }),
      ...password,
      // A command from a minute ago is useless.
      disableOfflineQueue: true,
      commandOptions: { timeout: COMMAND_MS },
    });
    this.#client.on('error', (error: unknown) => failed(errorMessage(error)));
    this.#prefix = prefix;
    this.#counters = new RateLimiterRedis({
      storeClient: this.#client,
      useRedisPackage: true,
      rejectIfRedisNotReady: true,
      keyPrefix: `${prefix}:used`,
      points: 1,
      duration: 1,
    });
  }

  /** Starts to connect, and retries until {@link close}. */
  open(): void {
    // The client retries by itself, and its errors were reported.
    this.#client.connect().catch(() => undefined);
  }

  /** Closes the connection, and stops the retries. */
  close(): void {
    if (this.#client.isOpen) this.#client.destroy();
  }

  /** True while the server is connected. */
  get isReady(): boolean {
    return this.#client.isReady;
  }

  /** Returns the time of the server in milliseconds since 1970. */
  async time(): Promise<number> {
    const [seconds, microseconds] = await this.#client.time();
    return Number(seconds) * 1000 + Number(microseconds) / 1000;
  }

  /** Stores a count for `seconds`. */
  async setCount(name: string, count: number, seconds: number): Promise<void> {
    await this.#counters.set(name, count, seconds);
  }

  /** Reads the counts of these names; 0 for missing names. */
  async counts(names: readonly string[]): Promise<number[]> {
    const counts: number[] = [];
    for (let at = 0; at < names.length; at += NAMES_AT_ONCE) {
      const keys = names.slice(at, at + NAMES_AT_ONCE).map((name) => this.#counters.getKey(name));
      for (const value of await this.#client.mGet(keys)) counts.push(Number(value ?? 0));
    }
    return counts;
  }

  /**
   * Records that `member` is present now, and returns all members that were present since `since`, milliseconds since
   * 1970.
   */
  async present(set: string, member: string, now: number, since: number): Promise<string[]> {
    const name = `${this.#prefix}:${set}`;
    const [, , members] = await Promise.all([
      this.#client.zAdd(name, { score: now, value: member }),
      this.#client.zRemRangeByScore(name, '-inf', since),
      this.#client.zRangeByScore(name, since, '+inf'),
    ]);
    return members;
  }

  /** Stores `value` in a field of a record, or removes it with null, and returns all fields. The record is deleted after `seconds`. */
  async setField(
    record: string,
    field: string,
    value: string | null,
    seconds: number,
  ): Promise<Record<string, string>> {
    const name = `${this.#prefix}:${record}`;
    const [, , all] = await Promise.all([
      value === null ? this.#client.hDel(name, field) : this.#client.hSet(name, field, value),
      this.#client.expire(name, seconds),
      this.#client.hGetAll(name),
    ]);
    return all;
  }

  /** Appends an event to a list of about `most`. */
  async append(list: string, fields: Readonly<Record<string, string>>, most: number): Promise<void> {
    const TRIM = { strategy: 'MAXLEN', strategyModifier: '~', threshold: most } as const;
    await this.#client.xAdd(`${this.#prefix}:${list}`, '*', { ...fields }, { TRIM });
  }

  /** Returns the id of the last event of a list; `0` if there is none. */
  async latestEvent(list: string): Promise<string> {
    const [last] = (await this.#client.xRevRange(`${this.#prefix}:${list}`, '+', '-', { COUNT: 1 })) ?? [];
    return last?.id ?? '0';
  }

  /** Reads up to `count` events after the one with the id `after`; `0` reads from the first. */
  async eventsAfter(list: string, after: string, count: number): Promise<StoredEvent[]> {
    const events = await this.#client.xRange(`${this.#prefix}:${list}`, `(${after}`, '+', { COUNT: count });
    return (events ?? []).map(({ id, message }) => ({ id, fields: message }));
  }
}

function readPassword(file: string): string {
  try {
    return readSmallFile(file, PASSWORD_BYTES).trim();
  } catch (error) {
    throw new TowpathError('TOWPATH_CLUSTER_PASSWORD', `cluster.passwordFile: ${errorMessage(error)}`, {
      hint: 'Check the path, and check that the user that runs towpath may read the file.',
      cause: error,
    });
  }
}
