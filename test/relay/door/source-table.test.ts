import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Order, type Place, SourceTable } from '../../../src/relay/door/source-table.ts';

const PATHS: readonly (readonly string[])[] = [
  ['v4-1'],
  ['v4-2'],
  ['v4-3'],
  ['s1', 'h1', 'l1'],
  ['s1', 'h1', 'l2'],
  ['s1', 'h2', 'l3'],
  ['s2', 'h3', 'l4'],
];

interface Held {
  readonly path: readonly string[];
  readonly place: Place<string>;
}

/** A simple model of the table. `held` is in the order of age, the oldest first. */
class Model {
  held: Held[] = [];

  count(name: string): number {
    return this.held.filter(({ path }) => path.includes(name)).length;
  }

  /** Returns the places that may be the candidate for a new connection with this path; null without a candidate. */
  candidates(path: readonly string[], order: Order, margin: number): { places: string[]; isOwn: boolean } | null {
    let among = this.held;
    let isOwn = true;
    for (let depth = 0; ; depth++) {
      const names = [...new Set(among.map((one) => one.path[depth]!))];
      if (names.length === 0) return null;
      const most = Math.max(...names.map((name) => this.count(name)));
      const own = path[depth] ?? '';
      let chosen = names.filter((name) => this.count(name) === most);
      if (isOwn && most <= this.count(own) + margin) {
        if (this.count(own) === 0) return null;
        chosen = [own];
      } else {
        isOwn = false;
      }
      const leaves = chosen.filter((name) => this.held.some((one) => one.path.at(-1) === name));
      if (leaves.length > 0 || chosen.length > 1) {
        // Several names with the same number: each of them is correct.
        const places = chosen.flatMap((name) => {
          const inside = this.held.filter((one) => one.path.includes(name));
          const isLeaf = inside.every((one) => one.path.at(-1) === name);
          const one = order === 'oldest' ? inside[0]! : inside.at(-1)!;
          return isLeaf ? [one.place.item] : inside.map((each) => each.place.item);
        });
        return { places, isOwn };
      }
      among = this.held.filter((one) => one.path.includes(chosen[0]!));
    }
  }
}

type Step = { kind: 'add'; path: number } | { kind: 'remove' | 'renew'; at: number };

const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('add' as const), path: fc.nat(PATHS.length - 1) }) },
    fc.record({ kind: fc.constantFrom('remove' as const, 'renew' as const), at: fc.nat(50) }),
  ),
  { maxLength: 60 },
);

function apply(table: SourceTable<string>, model: Model, step: Step, now: number): void {
  if (step.kind === 'add') {
    const path = PATHS[step.path]!;
    model.held.push({ path, place: table.add(path, `item ${now}`, now) });
    return;
  }
  const index = step.at % Math.max(model.held.length, 1);
  const [held] = model.held.splice(index, 1);
  if (held === undefined) return;
  if (step.kind === 'remove') {
    table.remove(held.place);
  } else {
    table.renew(held.place, now);
    model.held.push(held);
  }
}

describe('a table that sources share', () => {
  it('agrees with a simple model about what each source holds and who makes room', () => {
    fc.assert(
      fc.property(
        steps,
        fc.nat(PATHS.length - 1),
        fc.constantFrom('oldest', 'youngest'),
        fc.nat(1),
        (all, from, order, margin) => {
          const table = new SourceTable<string>();
          const model = new Model();
          for (const [now, step] of all.entries()) apply(table, model, step, now);
          assert.equal(table.size, model.held.length);
          assert.equal(table.oldest?.item, model.held[0]?.place.item);
          for (const name of new Set(PATHS.flat())) assert.equal(table.held(name), model.count(name), name);
          const path = PATHS[from]!;
          const found = table.candidate(path, order, margin);
          const expected = model.candidates(path, order, margin);
          assert.equal(found === null, expected === null);
          if (found === null || expected === null) return;
          assert.equal(found.isOwn, expected.isOwn);
          assert.ok(expected.places.includes(found.place.item));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('takes from the site that holds most, however it spreads over links', () => {
    const table = new SourceTable<string>();
    for (let i = 0; i < 20; i++) table.add(['site', `home${i % 4}`, `link${i}`], 'attacker', i);
    for (let i = 0; i < 5; i++) table.add(['192.0.2.1'], 'office', 100 + i);
    assert.equal(table.candidate(['198.51.100.1'], 'oldest')?.place.item, 'attacker');
    assert.equal(table.candidate(['192.0.2.1'], 'oldest')?.place.item, 'attacker');
    assert.equal(table.candidate(['site', 'new home', 'new link'], 'oldest')?.isOwn, false, 'another home of the site');
    assert.equal(table.candidate(['site', 'home0', 'link0'], 'oldest', 0, 'site')?.place.item, 'attacker');
  });

  it('is as quick with many sources as with few', () => {
    // This is not a measurement: a search through all entries would take minutes.
    const table = new SourceTable<number>();
    for (let i = 0; i < 100_000; i++) table.add([`s${i}`], i, i);
    for (let i = 0; i < 100_000; i++) {
      const { place } = table.candidate(['newcomer'], 'oldest')!;
      assert.equal(place.item, i);
      table.remove(place);
      table.add([`t${i}`], 100_000 + i, i);
    }
  });
});
