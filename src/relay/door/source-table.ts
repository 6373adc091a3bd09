/**
 * A table that many sources share, in which no source can block the others: it finds an item of the source with the
 * most items in constant time.
 */

/**
 * An item of one source in a {@link SourceTable}. It is in two lists by age: that of the table and that of its source.
 */
export class Place<T> {
  readonly item: T;
  readonly source: Source<T>;
  /** When it was added or last renewed, milliseconds of the clock. */
  sinceMs: number;
  older: Place<T> | null = null;
  younger: Place<T> | null = null;
  olderOfSource: Place<T> | null = null;
  youngerOfSource: Place<T> | null = null;

  constructor(item: T, source: Source<T>, sinceMs: number) {
    this.item = item;
    this.source = source;
    this.sinceMs = sinceMs;
  }
}

/** The place that a new item replaces. */
export interface Candidate<T> {
  readonly place: Place<T>;
  /** True when it belongs to the new item's own source: no other source has more. */
  readonly isOwn: boolean;
}

/** Which item of the source with the most items is replaced. */
export type Order = 'oldest' | 'youngest';

/** The counts of other threads' tables, for limits over all threads. */
export interface OtherTables {
  /** This table has one more, or one less, under a name; null: in total. */
  changed(name: string | null, by: 1 | -1): void;
  held(name: string): number;
  size(): number;
}

/**
 * Keeps items by source and in order of age. A source is a path of names, from the largest network to the smallest, as
 * `sourcePath` returns it. At each level, the items of the whole network count: many small networks inside a large one
 * count as the large one.
 */
export class SourceTable<T> {
  readonly #sources = new Map<string, Source<T>>();
  readonly #ranking = new Ranking<T>();
  #size = 0;
  #oldest: Place<T> | null = null;
  #youngest: Place<T> | null = null;
  readonly #others: OtherTables | null;

  /** `others` is null when there is one thread. */
  constructor(others: OtherTables | null = null) {
    this.#others = others;
  }

  get size(): number {
    return this.#size;
  }

  /** The size of the tables of all threads. */
  get sizeOfAll(): number {
    return this.#size + (this.#others?.size() ?? 0);
  }

  /** Returns the number of items under a name of a path in the tables of all threads. */
  heldByAll(name: string): number {
    return this.held(name) + (this.#others?.held(name) ?? 0);
  }

  /** The oldest place, or null. */
  get oldest(): Place<T> | null {
    return this.#oldest;
  }

  /** Returns the number of items under a name of a path. */
  held(name: string): number {
    return this.#sources.get(name)?.count ?? 0;
  }

  add(path: readonly string[], item: T, nowMs: number): Place<T> {
    const place = new Place(item, this.#sourceOf(path), nowMs);
    this.#size++;
    this.#append(place);
    for (let source: Source<T> | null = place.source; source !== null; source = source.parent) {
      source.siblings.raise(source);
      this.#others?.changed(source.name, 1);
    }
    this.#others?.changed(null, 1);
    return place;
  }

  /** Removes a place, which must be in the table. */
  remove(place: Place<T>): void {
    this.#size--;
    this.#others?.changed(null, -1);
    this.#detach(place);
    for (let source: Source<T> | null = place.source; source !== null; source = source.parent) {
      source.siblings.lower(source);
      this.#others?.changed(source.name, -1);
      if (source.count === 0) this.#sources.delete(source.name);
    }
  }

  /** Makes a place the youngest again, after an event of its item. */
  renew(place: Place<T>, nowMs: number): void {
    place.sinceMs = nowMs;
    if (place === this.#youngest) return;
    this.#detach(place);
    this.#append(place);
  }

  /**
   * Returns the place that a new item from `path` replaces: one of the source with the most items, if it has over
   * `margin` more than the new item's own source, otherwise one of its own. Null when its own source has none. With
   * `within`, a name of the path, only places under that name count.
   */
  candidate(path: readonly string[], order: Order, margin = 0, within?: string): Candidate<T> | null {
    let ranking: Ranking<T> | null = this.#ranking;
    let depth = 0;
    if (within !== undefined) {
      const start = this.#sources.get(within);
      if (start === undefined) return null;
      if (start.children === null) return candidateOf(start, order, true);
      ranking = start.children;
      depth = path.indexOf(within) + 1;
    }
    let isOwn = true;
    for (; ; depth++) {
      const top: Source<T> | null = ranking.top;
      if (top === null) return null;
      const own: Source<T> | undefined = isOwn ? this.#sources.get(path[depth] ?? '') : undefined;
      let next: Source<T> = top;
      if (isOwn && top.count <= (own?.count ?? 0) + margin) {
        if (own === undefined) return null;
        next = own;
      } else {
        isOwn = false;
      }
      if (next.children === null) return candidateOf(next, order, isOwn);
      ranking = next.children;
    }
  }

  #sourceOf(path: readonly string[]): Source<T> {
    const name = path[path.length - 1]!;
    const known = this.#sources.get(name);
    if (known !== undefined) return known;
    let parent: Source<T> | null = null;
    for (const part of path) {
      let source = this.#sources.get(part);
      if (source === undefined) {
        const siblings: Ranking<T> = parent === null ? this.#ranking : (parent.children ??= new Ranking<T>());
        source = new Source<T>(part, parent, siblings);
        this.#sources.set(part, source);
      }
      parent = source;
    }
    return parent!;
  }

  #append(place: Place<T>): void {
    place.older = this.#youngest;
    place.younger = null;
    if (this.#youngest === null) this.#oldest = place;
    else this.#youngest.younger = place;
    this.#youngest = place;
    place.source.append(place);
  }

  #detach(place: Place<T>): void {
    if (place.older === null) this.#oldest = place.younger;
    else place.older.younger = place.younger;
    if (place.younger === null) this.#youngest = place.older;
    else place.younger.older = place.older;
    place.source.detach(place);
  }
}

function candidateOf<T>(source: Source<T>, order: Order, isOwn: boolean): Candidate<T> | null {
  const place = order === 'oldest' ? source.oldest : source.youngest;
  return place === null ? null : { place, isOwn };
}

/** A network: it has smaller networks, or items if it is the smallest. */
class Source<T> {
  readonly name: string;
  readonly parent: Source<T> | null;
  readonly siblings: Ranking<T>;
  children: Ranking<T> | null = null;
  count = 0;
  rank: Rank<T> | null = null;
  before: Source<T> | null = null;
  after: Source<T> | null = null;
  oldest: Place<T> | null = null;
  youngest: Place<T> | null = null;

  constructor(name: string, parent: Source<T> | null, siblings: Ranking<T>) {
    this.name = name;
    this.parent = parent;
    this.siblings = siblings;
  }

  append(place: Place<T>): void {
    place.olderOfSource = this.youngest;
    place.youngerOfSource = null;
    if (this.youngest === null) this.oldest = place;
    else this.youngest.youngerOfSource = place;
    this.youngest = place;
  }

  detach(place: Place<T>): void {
    const { olderOfSource: older, youngerOfSource: younger } = place;
    if (older === null) this.oldest = younger;
    else older.youngerOfSource = younger;
    if (younger === null) this.youngest = older;
    else younger.olderOfSource = older;
  }
}

/** The sources with the same number of items, the one with this number for longest first. */
class Rank<T> {
  readonly count: number;
  lower: Rank<T> | null = null;
  higher: Rank<T> | null = null;
  first: Source<T> | null = null;
  last: Source<T> | null = null;

  constructor(count: number) {
    this.count = count;
  }
}

/** Sources in order of their number of items, which changes by one at a time. */
class Ranking<T> {
  #lowest: Rank<T> | null = null;
  #highest: Rank<T> | null = null;

  /** The source with the most items; of several, the one with this number for longest. */
  get top(): Source<T> | null {
    return this.#highest?.first ?? null;
  }

  /** `source` has one more item. */
  raise(source: Source<T>): void {
    const from = source.rank;
    source.count++;
    const next = from === null ? this.#lowest : from.higher;
    const to = next?.count === source.count ? next : this.#insert(source.count, from, next);
    this.#move(source, from, to);
  }

  /** `source` has one item less. With none left it leaves the ranking. */
  lower(source: Source<T>): void {
    const from = source.rank!;
    source.count--;
    let to: Rank<T> | null = null;
    if (source.count > 0) {
      to = from.lower?.count === source.count ? from.lower : this.#insert(source.count, from.lower, from);
    }
    this.#move(source, from, to);
  }

  #insert(count: number, lower: Rank<T> | null, higher: Rank<T> | null): Rank<T> {
    const rank = new Rank<T>(count);
    rank.lower = lower;
    rank.higher = higher;
    if (lower === null) this.#lowest = rank;
    else lower.higher = rank;
    if (higher === null) this.#highest = rank;
    else higher.lower = rank;
    return rank;
  }

  #move(source: Source<T>, from: Rank<T> | null, to: Rank<T> | null): void {
    if (from !== null) {
      if (source.before === null) from.first = source.after;
      else source.before.after = source.after;
      if (source.after === null) from.last = source.before;
      else source.after.before = source.before;
      if (from.first === null) this.#drop(from);
    }
    source.rank = to;
    source.after = null;
    source.before = to?.last ?? null;
    if (to === null) return;
    if (to.last === null) to.first = source;
    else to.last.after = source;
    to.last = source;
  }

  #drop(rank: Rank<T>): void {
    if (rank.lower === null) this.#lowest = rank.higher;
    else rank.lower.higher = rank.higher;
    if (rank.higher === null) this.#highest = rank.lower;
    else rank.higher.lower = rank.lower;
  }
}
