import { CONNECTION_SORTS, type ConnectionQuery, type ConnectionRow, type ConnectionSort } from '../../api/shapes.ts';
import type { Paged } from '../../api/shapes.ts';

const DEFAULT_SIZE = 50;
const MOST_ROWS = 500;
const LONGEST_SEARCH = 200;

/** Reads the parameters `search`, `sort`, `page` and `size` of a request. Returns a text when they are wrong. */
export function readConnectionQuery(parameters: URLSearchParams): ConnectionQuery | string {
  const search = (parameters.get('search') ?? '').trim().toLowerCase();
  if (search.length > LONGEST_SEARCH) return `search: longer than ${LONGEST_SEARCH} characters`;
  const sortText = parameters.get('sort') ?? '-rate';
  const isDescending = sortText.startsWith('-');
  const sort = CONNECTION_SORTS.find((name) => name === sortText.slice(isDescending ? 1 : 0));
  if (sort === undefined) return `sort: allowed: one of ${CONNECTION_SORTS.join(', ')}, with - in front to reverse it`;
  const page = wholeNumber(parameters.get('page'), 1);
  if (page === null || page < 1) return 'page: allowed: a whole number from 1';
  const size = wholeNumber(parameters.get('size'), DEFAULT_SIZE);
  if (size === null || size < 1 || size > MOST_ROWS) return `size: allowed: a whole number from 1 to ${MOST_ROWS}`;
  return { search, sort, isDescending, page, size };
}

/** Returns the text of the query that {@link readConnectionQuery} reads, the same for equal queries. */
export function connectionQueryText({ search, sort, isDescending, page, size }: ConnectionQuery): string {
  return new URLSearchParams({
    search,
    sort: `${isDescending ? '-' : ''}${sort}`,
    page: String(page),
    size: String(size),
  }).toString();
}

/** Returns the page of `rows` that a query asks for. A page after the last one is the last one. */
export function connectionPage(rows: readonly ConnectionRow[], query: ConnectionQuery): Paged<ConnectionRow> {
  const { search, sort, isDescending } = query;
  const found = search === '' ? [...rows] : rows.filter((row) => isFound(row, search));
  const compare = COMPARE[sort];
  const sign = isDescending ? -1 : 1;
  // By id where two are equal, so that rows stay where they are from one answer to the next.
  found.sort((a, b) => sign * compare(a, b) || (a.id < b.id ? -1 : 1));
  return { ...pageOf(found, query.page, query.size), total: rows.length };
}

/** Returns a page of a list that is sorted already. */
export function pageOf<Row>(rows: readonly Row[], page: number, size: number): Paged<Row> {
  const last = Math.max(1, Math.ceil(rows.length / size));
  const at = Math.min(page, last);
  return {
    total: rows.length,
    matching: rows.length,
    page: at,
    size,
    rows: rows.slice((at - 1) * size, at * size),
  };
}

/** Parses a whole number that is not negative. Returns `missing` when there is no text, and null for any other text. */
export function wholeNumber(text: string | null, missing: number): number | null {
  if (text === null || text === '') return missing;
  return /^\d{1,9}$/.test(text) ? Number(text) : null;
}

type Compare = (a: ConnectionRow, b: ConnectionRow) => number;

const rate = ({ received, sent }: ConnectionRow): number => (received.bytesPerSecond ?? 0) + (sent.bytesPerSecond ?? 0);
const byNumber =
  (read: (row: ConnectionRow) => number): Compare =>
  (a, b) =>
    read(a) - read(b);
const byText =
  (read: (row: ConnectionRow) => string | null): Compare =>
  (a, b) => {
    const [left, right] = [read(a) ?? '', read(b) ?? ''];
    return left < right ? -1 : left > right ? 1 : 0;
  };

const COMPARE: Readonly<Record<ConnectionSort, Compare>> = {
  // The youngest has the latest time.
  since: byNumber((row) => -row.ageSeconds),
  name: byText((row) => row.name),
  owner: byText((row) => row.owner),
  key: byText((row) => row.key),
  address: byText((row) => row.ip),
  app: byText((row) => row.app),
  received: byNumber((row) => row.received.bytes),
  sent: byNumber((row) => row.sent.bytes),
  receivedRate: byNumber((row) => row.received.bytesPerSecond ?? 0),
  sentRate: byNumber((row) => row.sent.bytesPerSecond ?? 0),
  rate: byNumber(rate),
  drops: byNumber((row) => row.droppedPackets),
  queue: byNumber((row) => row.queuedBytes),
};

function isFound(row: ConnectionRow, search: string): boolean {
  return (
    row.ip.includes(search) ||
    row.key?.includes(search) === true ||
    row.shortKey.toLowerCase().includes(search) ||
    row.name?.toLowerCase().includes(search) === true ||
    row.owner?.toLowerCase().includes(search) === true ||
    row.app.toLowerCase().includes(search)
  );
}
