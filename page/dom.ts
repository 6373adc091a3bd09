type Child = Node | string | null;
type Attributes = Readonly<Record<string, string | boolean | ((event: Event) => void)>>;

/**
 * Makes an element. Functions are listeners, `true` is an attribute without a value, `false` no attribute. Text is
 * never read as HTML.
 */
export function h(tag: string, attributes: Attributes = {}, ...children: readonly Child[]): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Returns the element of the document with this id. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`no element ${id}`);
  return element;
}

/** Replaces the content of an element. Does nothing when it is the same, so that selections and focus stay. */
export function show(parent: HTMLElement, ...children: readonly HTMLElement[]): void {
  const now = [...parent.children];
  if (now.length === children.length && now.every((child, i) => child.isEqualNode(children[i]!))) return;
  parent.replaceChildren(...children);
}

/** One column of a table. */
export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => Child;
  /** Classes of its cells: `right`, `wide`, `mono`. */
  readonly look?: string;
  /** Makes the head a button. */
  readonly sort?: string;
}

/** The order of a table, and the callback for another one. */
export interface Sorting {
  readonly by: string;
  readonly isDescending: boolean;
  readonly choose: (sort: string) => void;
}

/** Makes a table, which becomes cards on narrow screens. */
export function table<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  options: {
    readonly sorting?: Sorting;
    readonly open?: (row: Row) => void;
    /** Identifies a row when the rows are made again. */
    readonly id?: (row: Row) => string;
    readonly empty: string;
  },
): HTMLElement {
  if (rows.length === 0) return h('p', { class: 'soft' }, options.empty);
  const { sorting, open, id } = options;
  const heads = columns.map(({ title, sort, look = '' }) => {
    if (sort === undefined || sorting === undefined) return h('th', { scope: 'col', class: look }, title);
    const isIt = sorting.by === sort;
    const order = sorting.isDescending ? 'descending' : 'ascending';
    const mark = isIt ? (sorting.isDescending ? ' ↓' : ' ↑') : '';
    return h(
      'th',
      { scope: 'col', class: look, ...(isIt ? { 'aria-sort': order } : {}) },
      h('button', { type: 'button', 'data-id': `sort ${sort}`, click: () => sorting.choose(sort) }, `${title}${mark}`),
    );
  });
  const body = rows.map((row) => {
    const cells = columns.map(({ title, cell, look = '' }) => {
      const content = cell(row);
      const isEmpty = content === null || content === '';
      return h('td', { class: `${look}${isEmpty ? ' none' : ''}`.trim(), 'data-label': title }, content);
    });
    if (open === undefined) return h('tr', {}, ...cells);
    const act = (event: Event): void => {
      if (event instanceof KeyboardEvent && event.key !== 'Enter') return;
      open(row);
    };
    return h('tr', { class: 'link', tabindex: '0', 'data-id': id?.(row) ?? '', click: act, keydown: act }, ...cells);
  });
  return h(
    'div',
    { class: 'scroll' },
    h('table', { class: 'cards' }, h('thead', {}, h('tr', {}, ...heads)), h('tbody', {}, ...body)),
  );
}

/** Makes a list of names and values. */
export function facts(pairs: readonly (readonly [string, Child])[]): HTMLElement {
  return h('dl', {}, ...pairs.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
}

/** Makes a short word with a colour. */
export function tag(text: string, look: 'good' | 'warn' | 'bad' | '' = ''): HTMLElement {
  return h('span', { class: `tag ${look}`.trim() }, text);
}
