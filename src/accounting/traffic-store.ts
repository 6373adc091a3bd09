import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { TowpathError } from '../base/errors.ts';
import { openSqlite, type SqlDatabase, type SqlRow, type SqlStatement } from '../system/sqlite.ts';

/** The path of traffic: a DERP connection, or datagrams of the peer relay. */
type TrafficPath = 'derp' | 'udp';

/** The traffic of a key in a day (UTC) on one path: payloads only. */
export interface TrafficRow {
  /** Such as `2026-11-27`. */
  readonly day: string;
  /** The node key as 64 hex digits. */
  readonly key: string;
  readonly path: TrafficPath;
  readonly sentBytes: number;
  readonly sentPackets: number;
  readonly receivedBytes: number;
  readonly receivedPackets: number;
}

/** Bytes that a key has sent on all paths. */
export interface UsedBytes {
  readonly key: string;
  readonly dayBytes: number;
  readonly monthBytes: number;
}

/** The name of the database in the directory of accounting. */
export const STORE_FILE = 'traffic.db';
const SCHEMA_VERSION = 1;
/** Another process, such as an export or a backup, may hold the file for a moment. */
const BUSY_MS = 5000;
const DIRECTORY_MODE = 0o700;
/** Most keys whose usage is read at the start. The keys with the most bytes are read. */
const MOST_KEYS = 200_000;

const SCHEMA = `
  CREATE TABLE traffic (
    day TEXT NOT NULL,
    key BLOB NOT NULL,
    path TEXT NOT NULL,
    sent_bytes INTEGER NOT NULL,
    sent_packets INTEGER NOT NULL,
    received_bytes INTEGER NOT NULL,
    received_packets INTEGER NOT NULL,
    PRIMARY KEY (day, key, path)
  ) STRICT, WITHOUT ROWID;
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

/**
 * Traffic by day, key and path in a SQLite file. A write-ahead log keeps the file valid whenever the process ends.
 * Committed rows survive kill −9; a power cut may lose the commits of the last moments.
 */
export class TrafficStore {
  readonly #database: SqlDatabase;
  readonly #add: SqlStatement;

  private constructor(database: SqlDatabase) {
    this.#database = database;
    this.#add = database.prepare(`
      INSERT INTO traffic VALUES (?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET
        sent_bytes = sent_bytes + excluded.sent_bytes,
        sent_packets = sent_packets + excluded.sent_packets,
        received_bytes = received_bytes + excluded.received_bytes,
        received_packets = received_packets + excluded.received_packets`);
  }

  /**
   * Opens the store at `path`. Creates the file and its folder when they are missing. Rejects when it cannot be used.
   */
  static async open(path: string): Promise<TrafficStore> {
    mkdirSync(dirname(path), { recursive: true, mode: DIRECTORY_MODE });
    const database = await openSqlite(path, false);
    try {
      database.exec(`PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL`);
      migrate(database, path);
      return new TrafficStore(database);
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** Adds rows to the stored counts: all of them or, when it throws, none. */
  add(rows: readonly TrafficRow[]): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      for (const { day, key, path, sentBytes, sentPackets, receivedBytes, receivedPackets } of rows) {
        this.#add.run(day, Buffer.from(key, 'hex'), path, sentBytes, sentPackets, receivedBytes, receivedPackets);
      }
      this.#database.exec('COMMIT');
    } catch (error) {
      rollBack(this.#database);
      throw error;
    }
  }

  /** Returns the bytes that each key has sent in `day`, and in its month so far. */
  used(day: string): UsedBytes[] {
    const statement = this.#database.prepare(`
      SELECT key, SUM(CASE WHEN day = ? THEN sent_bytes ELSE 0 END) AS dayBytes, SUM(sent_bytes) AS monthBytes
      FROM traffic WHERE day BETWEEN ? AND ? GROUP BY key ORDER BY monthBytes DESC LIMIT ${MOST_KEYS}`);
    const used: UsedBytes[] = [];
    for (const { key, dayBytes, monthBytes } of statement.rows(day, `${day.slice(0, 7)}-01`, day)) {
      used.push({ key: hexOf(key), dayBytes: Number(dayBytes), monthBytes: Number(monthBytes) });
    }
    return used;
  }

  /** Deletes the days before `day`. */
  forgetBefore(day: string): void {
    this.#database.prepare('DELETE FROM traffic WHERE day < ?').run(day);
  }

  close(): void {
    this.#database.close();
  }
}

/**
 * Reads the rows of the days `from` to `to`, in order, while a relay may continue to write. Throws a TowpathError when
 * there is no store in the file.
 */
export async function* readTraffic(path: string, from: string, to: string): AsyncGenerator<TrafficRow> {
  const database = await openSqlite(path, true).catch((error: unknown) => {
    throw new TowpathError('TOWPATH_ACCOUNTING_UNREADABLE', `the accounting in ${path} cannot be read`, {
      hint: 'Is accounting on (accounting.enabled), and may this user read the file?',
      cause: error,
    });
  });
  try {
    database.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    const select = 'SELECT * FROM traffic WHERE day BETWEEN ? AND ? ORDER BY day, key, path';
    for (const row of database.prepare(select).rows(from, to)) yield trafficRow(row);
  } finally {
    database.close();
  }
}

function migrate(database: SqlDatabase, path: string): void {
  const [row] = database.prepare('PRAGMA user_version').rows();
  const version = Number(row?.['user_version']);
  if (version === SCHEMA_VERSION) return;
  if (version !== 0) throw new Error(`${path} is of a newer towpath (version ${version} of its tables)`);
  database.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT`);
}

function rollBack(database: SqlDatabase): void {
  try {
    database.exec('ROLLBACK');
  } catch {
    // SQLite has already rolled back, as it does when the disk is full.
  }
}

function trafficRow(row: SqlRow): TrafficRow {
  return {
    day: String(row['day']),
    key: hexOf(row['key']),
    path: row['path'] === 'udp' ? 'udp' : 'derp',
    sentBytes: Number(row['sent_bytes']),
    sentPackets: Number(row['sent_packets']),
    receivedBytes: Number(row['received_bytes']),
    receivedPackets: Number(row['received_packets']),
  };
}

function hexOf(value: SqlRow[string] | undefined): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : '';
}
