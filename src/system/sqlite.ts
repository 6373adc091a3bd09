/**
 * SQLite of the runtime behind one port: `node:sqlite` on Node, `bun:sqlite` on Bun. Every call blocks until the disk has
 * answered, so a relay uses it in a thread of its own.
 */

/** A value of a row, or of a parameter. Whole numbers are exact up to 2^53. */
type SqlValue = string | number | null | Uint8Array;

/** A row by the names of its columns. */
export type SqlRow = Readonly<Record<string, SqlValue>>;

/** A statement that was compiled once. Its calls throw an Error with SQLite's message. */
export interface SqlStatement {
  run(...values: readonly SqlValue[]): void;
  /** Returns the rows, one at a time. */
  rows(...values: readonly SqlValue[]): IterableIterator<SqlRow>;
}

export interface SqlDatabase {
  /** Runs statements without parameters. */
  exec(sql: string): void;
  prepare(sql: string): SqlStatement;
  close(): void;
}

/** Opens the database in a file, which is created unless `isReadOnly`. Rejects with SQLite's error. */
export async function openSqlite(path: string, isReadOnly: boolean): Promise<SqlDatabase> {
  return 'bun' in process.versions ? openOnBun(path, isReadOnly) : openOnNode(path, isReadOnly);
}

async function openOnBun(path: string, isReadOnly: boolean): Promise<SqlDatabase> {
  const { Database } = await import('bun:sqlite');
  const database = new Database(path, isReadOnly ? { readonly: true } : { create: true });
  return {
    exec: (sql) => database.run(sql),
    prepare: (sql) => {
      const statement = database.prepare(sql);
      return { run: (...values) => void statement.run(...values), rows: (...values) => statement.iterate(...values) };
    },
    close: () => database.close(),
  };
}

async function openOnNode(path: string, isReadOnly: boolean): Promise<SqlDatabase> {
  const { DatabaseSync } = await import('node:sqlite');
  const database = new DatabaseSync(path, { readOnly: isReadOnly });
  return {
    exec: (sql) => database.exec(sql),
    prepare: (sql) => {
      const statement = database.prepare(sql);
      return {
        run: (...values) => void statement.run(...values),
        rows: (...values) => statement.iterate(...values) as IterableIterator<SqlRow>,
      };
    },
    close: () => database.close(),
  };
}
