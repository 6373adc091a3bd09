import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Usage } from '../../src/accounting/usage.ts';
import type { OpenConnection } from '../../src/cluster/connections.ts';
import { Region, type RegionEvent, type RegionMember, type RegionParts } from '../../src/cluster/region.ts';
import type { StoredEvent } from '../../src/cluster/valkey.ts';

const KEY = 'ab'.repeat(32);
const OTHER_KEY = 'cd'.repeat(32);
const DAY_MS = 86_400_000;

/** A Valkey server in memory. */
class Store implements Pick<RegionParts['valkey'], keyof RegionParts['valkey']> {
  isReady = true;
  now = Date.parse('2026-11-10T12:00:00Z');
  isAway = false;
  /** Runs before each answer to a record of connections. */
  beforeRecord: () => void = () => undefined;
  #counts = new Map<string, number>();
  #sets = new Map<string, Map<string, number>>();
  #records = new Map<string, Record<string, string>>();
  #events: StoredEvent[] = [];

  open(): void {}
  close(): void {}

  /** Forgets everything, as a server without persistence does when it is started again. */
  clear(): void {
    this.#counts.clear();
    this.#sets.clear();
    this.#records.clear();
    this.#events = [];
  }

  time(): Promise<number> {
    return this.#answer(() => this.now);
  }

  setCount(name: string, count: number): Promise<void> {
    return this.#answer(() => void this.#counts.set(name, count));
  }

  counts(names: readonly string[]): Promise<number[]> {
    return this.#answer(() => names.map((name) => this.#counts.get(name) ?? 0));
  }

  present(set: string, member: string, now: number, since: number): Promise<string[]> {
    return this.#answer(() => {
      const members = this.#sets.get(set) ?? new Map<string, number>();
      this.#sets.set(set, members.set(member, now));
      return [...members].filter(([, at]) => at >= since).map(([name]) => name);
    });
  }

  async setField(record: string, field: string, value: string | null): Promise<Record<string, string>> {
    return this.#answer(() => {
      this.beforeRecord();
      const others = Object.entries(this.#records.get(record) ?? {}).filter(([name]) => name !== field);
      const all = Object.fromEntries(value === null ? others : [...others, [field, value]]);
      this.#records.set(record, all);
      return all;
    });
  }

  append(_list: string, fields: Readonly<Record<string, string>>): Promise<void> {
    return this.#answer(() => void this.#events.push({ id: `${this.now}-${this.#events.length}`, fields }));
  }

  eventsAfter(_list: string, after: string): Promise<StoredEvent[]> {
    const order = (id: string): number => id.split('-').reduce((sum, part) => sum * 1000 + Number(part), 0);
    return this.#answer(() => this.#events.filter(({ id }) => order(id) > order(after.includes('-') ? after : '0-0')));
  }

  latestEvent(): Promise<string> {
    return this.#answer(() => this.#events.at(-1)?.id ?? '0');
  }

  async #answer<T>(read: () => T): Promise<T> {
    await Promise.resolve();
    if (this.isAway) throw new Error('away');
    return read();
  }
}

/** A relay, with the clock of its machine. */
class Member implements RegionMember {
  readonly region: Region;
  readonly usage: Usage;
  readonly withQuota = new Set<string>();
  readonly open = new Map<string, OpenConnection[]>();
  readonly ended: number[] = [];
  readonly events: RegionEvent[] = [];
  readonly warnings: string[] = [];
  readonly #store: Store;
  readonly #aheadMs: number;

  constructor(store: Store, relayId: string, aheadMs = 0) {
    this.#store = store;
    this.#aheadMs = aheadMs;
    this.usage = new Usage('2026-11-10');
    this.region = new Region({
      ...{ valkey: store, relayId, member: this, now: () => this.now, noted: () => undefined },
      log: { info: () => undefined, warn: (_fields, message) => this.warnings.push(message) },
    });
  }

  get now(): number {
    return this.#store.now + this.#aheadMs;
  }

  connect(key: string, port: number): void {
    this.open.set(key, [...this.connections(key), { ip: '192.0.2.1', port, openedAt: this.now }]);
    this.region.connectionsChanged(key);
  }

  disconnect(key: string): void {
    this.open.delete(key);
    this.withQuota.delete(key);
    this.region.connectionsChanged(key);
  }

  /** Sends bytes of a connected key. */
  sent(key: string, bytes: number): void {
    this.withQuota.add(key);
    this.region.follow(key);
    this.usage.add(key, bytes);
  }

  get day(): string {
    return this.usage.day;
  }
  keysWithQuota = (): Iterable<string> => this.withQuota;
  own = (key: string): ReturnType<Usage['own']> => this.usage.own(key);
  adopt = (...stored: Parameters<Usage['adopt']>): void => this.usage.adopt(...stored);
  setOthers = (...counts: Parameters<Usage['setOthers']>): void => this.usage.setOthers(...counts);
  changed = (): void => undefined;
  connections = (key: string): readonly OpenConnection[] => this.open.get(key) ?? [];
  connectionLimit = (): number => 1;
  end = (key: string, { port }: OpenConnection): void => {
    this.ended.push(port);
    this.disconnect(key);
  };
  apply = (event: RegionEvent): void => void this.events.push(event);
}

async function rounds(...members: readonly Member[]): Promise<void> {
  for (const { region } of [...members, ...members]) await region.round();
}

suite('counts that relays of a region share', () => {
  test('a new day does not count the bytes of the month again; a relay that starts again has its own', async () => {
    const store = new Store();
    const relay = new Member(store, 'one');
    relay.sent(KEY, 1000);
    await rounds(relay);
    for (const day of ['2026-11-11', '2026-11-12']) {
      store.now += DAY_MS;
      relay.usage.begin(day);
      relay.sent(KEY, 1);
      await rounds(relay);
    }
    assert.deepEqual(relay.usage.total(KEY), { dayBytes: 1, monthBytes: 1002 });
    const again = new Member(store, 'one');
    again.usage.begin('2026-11-12');
    again.sent(KEY, 10);
    await rounds(again);
    assert.deepEqual(again.usage.total(KEY), { dayBytes: 11, monthBytes: 1012 });
  });

  test('a server that lost its data has it again after the next round, also of keys that send nothing more', async () => {
    const store = new Store();
    const [one, two] = [new Member(store, 'one'), new Member(store, 'two')];
    one.sent(KEY, 1000);
    two.sent(KEY, 10);
    one.connect(OTHER_KEY, 1);
    await rounds(one, two);
    assert.equal(two.usage.total(KEY).monthBytes, 1010);
    store.isAway = true;
    await rounds(one, two);
    assert.equal(two.usage.total(KEY).monthBytes, 1010, 'while it is away, the last counts of the others stay');
    store.clear();
    store.isAway = false;
    await rounds(one, two);
    assert.deepEqual(
      [one, two].map(({ usage }) => usage.total(KEY).monthBytes),
      [1010, 1010],
    );
    store.now += 5000;
    two.connect(OTHER_KEY, 2);
    await rounds(two, one);
    assert.deepEqual([one.ended, two.ended], [[1], []], 'it knows the older connection again');
  });

  test('bytes of a key that came and went while the server was away are added when it is back', async () => {
    const store = new Store();
    const [one, two] = [new Member(store, 'one'), new Member(store, 'two')];
    await rounds(one, two);
    store.isAway = true;
    one.connect(KEY, 1);
    one.sent(KEY, 5000);
    one.disconnect(KEY);
    two.sent(KEY, 1);
    await rounds(one, two);
    store.isAway = false;
    await rounds(one, two);
    assert.equal(two.usage.total(KEY).monthBytes, 5001);
  });

  test('a connection that changes while its record is sent is sent in the next round', async () => {
    const store = new Store();
    const [one, two] = [new Member(store, 'one'), new Member(store, 'two')];
    one.connect(KEY, 1);
    store.beforeRecord = (): void => {
      store.beforeRecord = (): void => undefined;
      one.disconnect(KEY);
    };
    await one.region.round();
    await one.region.round();
    store.now -= 60_000;
    two.connect(KEY, 2);
    await rounds(two, one);
    assert.deepEqual([one.ended, two.ended], [[], []], 'the ended connection counts no more');
  });

  test('clocks that differ by ten minutes: the newest connection stays, and actions reach the other relay', async () => {
    const store = new Store();
    const [ahead, right] = [new Member(store, 'one', 600_000), new Member(store, 'two')];
    await rounds(ahead, right);
    ahead.connect(KEY, 1);
    await rounds(ahead, right);
    store.now += 5000;
    right.connect(KEY, 2);
    await rounds(right, ahead);
    assert.deepEqual([ahead.ended, right.ended], [[1], []]);
    right.region.announce({ kind: 'disconnect', key: KEY });
    await rounds(right, ahead);
    assert.deepEqual(ahead.events, [{ kind: 'disconnect', key: KEY }]);
    assert.deepEqual([ahead.warnings.length, right.warnings.length], [1, 0]);
  });

  test('another server whose clock is behind: its events are taken, each once', async () => {
    const store = new Store();
    const [one, two] = [new Member(store, 'one'), new Member(store, 'two')];
    one.region.announce({ kind: 'disconnect', key: KEY });
    await rounds(one, two);
    store.clear();
    store.now -= 3_600_000;
    one.region.announce({ kind: 'allow', key: OTHER_KEY });
    await rounds(one, two, one, two);
    assert.deepEqual(two.events, [
      { kind: 'disconnect', key: KEY },
      { kind: 'allow', key: OTHER_KEY },
    ]);
  });
});
