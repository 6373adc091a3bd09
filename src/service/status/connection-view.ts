import type { ConnectionRow, ConnectionsAnswer, ConnectionQuery } from '../../api/shapes.ts';
import type { SessionSnapshot } from '../../relay/session/traffic.ts';
import { connectionPage, connectionQueryText } from './connection-list.ts';
import { ConnectionRows, type Describe } from './connection-rows.ts';

/** A snapshot serves all viewers for this time. */
const FRESH_MS = 900;
/**
 * It serves them longer when making one is expensive: the pass over the sessions takes at most this share of a core.
 */
const MOST_SHARE = 0.02;
/** Longest time that a snapshot serves: the first passes are slow, and viewers must not wait for that. */
const OLDEST_MS = 4000;
/** The rows are dropped when there was no request for this time. */
const IDLE_MS = 60_000;

interface ConnectionViewParts {
  readonly sessions: () => readonly SessionSnapshot[];
  readonly describe: Describe;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
}

/**
 * The connections as viewers see them. One pass over the sessions makes the rows for all viewers, at most once a second
 * and only while there are viewers; each page is made once.
 */
export class ConnectionView {
  readonly #parts: ConnectionViewParts;
  readonly #maker: ConnectionRows;
  readonly #pages = new Map<string, ConnectionsAnswer>();
  #rows: readonly ConnectionRow[] = [];
  #wallMs = 0;
  #takenMs = -Infinity;
  #tookMs = 0;
  #lookedMs = -Infinity;

  constructor(parts: ConnectionViewParts) {
    this.#parts = parts;
    this.#maker = new ConnectionRows(parts.describe);
  }

  /** Returns the page that a query asks for. */
  page(query: ConnectionQuery): ConnectionsAnswer {
    this.#refresh();
    const name = connectionQueryText(query);
    let page = this.#pages.get(name);
    if (page === undefined) {
      page = { at: new Date(this.#wallMs).toISOString(), ...connectionPage(this.#rows, query) };
      this.#pages.set(name, page);
    }
    return page;
  }

  /** Returns the connection of this id, or null. */
  one(id: string): ConnectionRow | null {
    this.#refresh();
    return this.#rows.find((row) => row.id === id) ?? null;
  }

  /** Frees the rows after a minute without a request. Call it regularly. */
  tidy(): void {
    if (this.#rows.length === 0 || this.#parts.now() - this.#lookedMs < IDLE_MS) return;
    this.#rows = [];
    this.#pages.clear();
    this.#maker.forget();
    this.#takenMs = -Infinity;
  }

  #refresh(): void {
    const now = this.#parts.now();
    this.#lookedMs = now;
    if (now - this.#takenMs < Math.min(Math.max(FRESH_MS, this.#tookMs / MOST_SHARE), OLDEST_MS)) return;
    this.#wallMs = Date.now();
    this.#rows = this.#maker.take(this.#parts.sessions(), now, this.#wallMs);
    this.#pages.clear();
    this.#takenMs = now;
    this.#tookMs = this.#parts.now() - now;
  }
}
