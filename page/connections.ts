import type { ConnectionRow, ConnectionsAnswer } from '../src/api/shapes.ts';
import { type Column, facts, h, show, table, tag } from './dom.ts';
import { bytes, count, duration, localTime, rate } from './format.ts';

/** The search, order and page that the user has chosen for the connections. */
export class ConnectionWish {
  search = '';
  sort = 'rate';
  isDescending = true;
  page = 1;
  size = 50;

  /** Returns them as parameters of the API. */
  parameters(): URLSearchParams {
    const { search, sort, isDescending, page, size } = this;
    return new URLSearchParams({
      search,
      sort: `${isDescending ? '-' : ''}${sort}`,
      page: String(page),
      size: String(size),
    });
  }

  /** Sorts by a column, or reverses its order. Numbers start with the largest, text with the first. */
  sortBy(sort: string): void {
    this.isDescending = this.sort === sort ? !this.isDescending : !TEXT_COLUMNS.has(sort);
    this.sort = sort;
    this.page = 1;
  }
}

const TEXT_COLUMNS = new Set(['name', 'owner', 'key', 'address', 'app', 'since']);

const COLUMNS: readonly Column<ConnectionRow>[] = [
  { title: 'Node', sort: 'name', look: 'wide', cell: (row) => nodeCell(row) },
  { title: 'Address', sort: 'address', look: 'mono', cell: ({ ip }) => ip },
  { title: 'Connected', sort: 'since', look: 'right', cell: ({ ageSeconds }) => duration(ageSeconds) },
  { title: 'From it', sort: 'receivedRate', look: 'right', cell: ({ received }) => rate(received.bytesPerSecond) },
  { title: 'To it', sort: 'sentRate', look: 'right', cell: ({ sent }) => rate(sent.bytesPerSecond) },
  { title: 'Total from', sort: 'received', look: 'right', cell: ({ received }) => bytes(received.bytes) },
  { title: 'Total to', sort: 'sent', look: 'right', cell: ({ sent }) => bytes(sent.bytes) },
  { title: 'Dropped', sort: 'drops', look: 'right', cell: (row) => dropsText(row) },
  {
    title: 'Queue',
    sort: 'queue',
    look: 'right',
    cell: ({ queuedBytes }) => (queuedBytes === 0 ? '' : bytes(queuedBytes)),
  },
  { title: 'Notes', look: 'wide', cell: (row) => tagsOf(row) },
];

function nodeCell({ name, owner, shortKey, state }: ConnectionRow): HTMLElement {
  const key = h('span', { class: 'mono' }, shortKey === '' ? state : shortKey);
  if (name === null && owner === null) return key;
  // Names come from nodes: they may be long, and run from right to left.
  const label = `${name ?? ''}${owner === null ? '' : ` (${owner})`}`.trim();
  return h('span', {}, h('bdi', { class: 'name', title: label }, label), ' ', h('span', { class: 'soft' }, key));
}

/** Returns the drops of a connection, by the most frequent reason. */
function dropsText({ drops, droppedPackets }: Pick<ConnectionRow, 'drops' | 'droppedPackets'>): string {
  if (droppedPackets === 0) return '';
  const [most] = Object.entries(drops).sort(([, a], [, b]) => b - a);
  return `${count(droppedPackets)} ${most![0]}`;
}

function tagsOf(row: ConnectionRow): HTMLElement {
  const tags = [
    row.isHome ? tag('home', 'good') : null,
    row.isDuplicate ? tag('duplicate', 'bad') : null,
    row.state === 'connecting' ? tag('connecting', 'warn') : null,
    row.isWebSocket ? tag('WebSocket') : null,
    row.isBehindProxy ? tag('proxy') : null,
    row.tier === null ? null : tag(row.tier),
    row.app === '' ? null : tag(row.app),
  ];
  return h('span', {}, ...tags);
}

/** The table of connections with its search and pages. */
export class ConnectionTable {
  readonly element: HTMLElement;
  readonly wish: ConnectionWish = new ConnectionWish();
  readonly search: HTMLInputElement;
  readonly #rows = h('div');
  readonly #summary = h('span', { class: 'soft', 'aria-live': 'polite' });
  readonly #before: HTMLButtonElement;
  readonly #next: HTMLButtonElement;
  readonly #changed: () => void;
  readonly #open: (row: ConnectionRow) => void;
  #timer = 0;

  /**
   * `changed` is called when the user wants another search, order or page; `open` when the user wants to see one
   * connection.
   */
  constructor(changed: () => void, open: (row: ConnectionRow) => void) {
    this.#changed = changed;
    this.#open = open;
    this.search = h('input', {
      type: 'search',
      id: 'search',
      name: 'search',
      placeholder: 'Name, owner, key, address or application',
      'aria-label': 'Search',
      input: () => this.#searched(),
    }) as HTMLInputElement;
    this.#before = h('button', { type: 'button', click: () => this.turn(-1) }, '← Page') as HTMLButtonElement;
    this.#next = h('button', { type: 'button', click: () => this.turn(1) }, 'Page →') as HTMLButtonElement;
    const tools = h('div', { class: 'tools' }, this.search, this.#summary, this.#before, this.#next);
    this.element = h('div', { class: 'card' }, tools, this.#rows);
  }

  /** Shows another page, if there is one. */
  turn(by: number): void {
    if ((by < 0 ? this.#before : this.#next).disabled) return;
    this.wish.page += by;
    this.#changed();
  }

  update(answer: ConnectionsAnswer): void {
    const { total, matching, page, size, rows } = answer;
    this.wish.page = page;
    const pages = Math.max(1, Math.ceil(matching / size));
    const found = this.wish.search === '' ? `${count(total)} connections` : `${count(matching)} of ${count(total)}`;
    this.#summary.textContent = pages === 1 ? found : `${found}, page ${page} of ${pages}`;
    this.#before.disabled = page <= 1;
    this.#next.disabled = page >= pages;
    const { sort: by, isDescending } = this.wish;
    const choose = (sort: string): void => {
      this.wish.sortBy(sort);
      this.#changed();
    };
    const empty = total === 0 ? 'No client is connected.' : 'No connection fits the search.';
    const sorting = { by, isDescending, choose };
    const focused = this.#focused();
    show(this.#rows, table(COLUMNS, rows, { sorting, open: this.#open, id: ({ id }) => id, empty }));
    if (focused !== undefined) this.#rows.querySelector<HTMLElement>(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }

  /** Returns the focused row or title. The rows are made again, and the focus must stay where it is. */
  #focused(): string | undefined {
    const { activeElement } = document;
    return activeElement !== null && this.#rows.contains(activeElement)
      ? (activeElement as HTMLElement).dataset['id']
      : undefined;
  }

  #searched(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.wish.search = this.search.value.trim();
      this.wish.page = 1;
      this.#changed();
    }, 200);
  }
}

/** Returns all facts about one connection. */
export function connectionFacts(row: ConnectionRow): HTMLElement {
  const drops = Object.entries(row.drops).filter(([, packets]) => packets > 0);
  return facts([
    ['node key', h('span', { class: 'mono' }, row.key ?? 'not proved yet')],
    ['name', row.name ?? 'not known'],
    ['owner', row.owner ?? 'not known'],
    ['tier', row.tier ?? 'none'],
    ['address', `${row.ip} port ${row.port}${row.isBehindProxy ? ', named by a proxy' : ''}`],
    ['since', `${localTime(row.since)} (${duration(row.ageSeconds)})`],
    ['application', row.app === '' ? 'not given' : row.app],
    ['let in by', row.admittedBy === '' || row.admittedBy === 'open' ? 'everyone is let in' : row.admittedBy],
    ['home', row.isHome ? 'yes: it prefers this relay' : 'no'],
    ['duplicate', row.isDuplicate ? 'yes: another connection has the same key' : 'no'],
    ['transport', row.isWebSocket ? 'WebSocket' : 'TLS'],
    [
      'from it',
      `${count(row.received.packets)} packets, ${bytes(row.received.bytes)}, now ${rate(row.received.bytesPerSecond)}`,
    ],
    ['to it', `${count(row.sent.packets)} packets, ${bytes(row.sent.bytes)}, now ${rate(row.sent.bytesPerSecond)}`],
    [
      'dropped',
      drops.length === 0 ? 'nothing' : drops.map(([reason, packets]) => `${reason}: ${count(packets)}`).join(', '),
    ],
    ['queue', bytes(row.queuedBytes)],
    ['thread', row.thread === 0 ? 'the main one' : String(row.thread)],
  ]);
}
