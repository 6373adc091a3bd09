import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import { Clock } from '../../../src/base/clock.ts';
import type { StunQuery, StunSighting } from '../../../src/relay/udp/stun-queries.ts';
import { StunRounds } from '../../../src/service/peer-relay/stun-rounds.ts';
import type { StunServerName } from '../../../src/tailnet/netmap.ts';

const PLACES = [
  { ip: '0.0.0.0', port: 3478 },
  { ip: '::', port: 3478 },
  { ip: '0.0.0.0', port: 443 },
];

/** A door whose queries get the result of `answer`; null loses the query. */
class Door {
  places = PLACES;
  onSighting: (sighting: StunSighting) => void = () => undefined;
  readonly queries: StunQuery[] = [];
  readonly #answer: (query: StunQuery) => { ip: string; port: number } | null;

  constructor(answer: (query: StunQuery) => { ip: string; port: number } | null) {
    this.#answer = answer;
  }

  query(queries: readonly StunQuery[]): void {
    for (const query of queries) {
      this.queries.push(query);
      const seen = this.#answer(query);
      if (seen !== null) setImmediate(() => this.onSighting({ id: query.id, ...seen }));
    }
  }
}

function rounds(t: TestContext, door: Door | null, servers: StunServerName[]): StunRounds {
  const clock = new Clock();
  clock.start();
  t.after(() => clock.stop());
  const resolve = (name: string): Promise<string[]> =>
    name === 'stun.example' ? Promise.resolve(['198.51.100.9']) : Promise.reject(new Error('no such name'));
  return new StunRounds({ door: () => door, clock, servers: () => servers, resolve });
}

const byPlace = (found: readonly { localPort: number; ip: string; port: number }[]): string[] =>
  found.map(({ localPort, ip, port }) => `${localPort} ${ip} ${port}`).sort();

suite('a round of STUN', () => {
  const two = [
    { host: '198.51.100.1', port: 3478 },
    { host: 'stun.example', port: 3479 },
  ];

  test('asks each server from each port of its family, again when an answer is lost', async (t) => {
    let lost = 2;
    const door = new Door(({ place }) => (lost-- > 0 ? null : { ip: '203.0.113.7', port: 50_000 + place }));
    const found = await rounds(t, door, two).run();
    assert.deepEqual(byPlace(found), ['3478 203.0.113.7 50000', '443 203.0.113.7 50002']);
    assert.equal(door.queries.length, 6, 'four, and two once more');
    const asked = new Set(door.queries.map(({ place, ip, port }) => `${place} ${ip} ${port}`));
    assert.deepEqual([...asked].sort(), [
      '0 198.51.100.1 3478',
      '0 198.51.100.9 3479',
      '2 198.51.100.1 3478',
      '2 198.51.100.9 3479',
    ]);
  });

  test('tells our own port behind a NAT that gives each destination another one', async (t) => {
    let port = 50_000;
    const door = new Door(() => ({ ip: '203.0.113.7', port: port++ }));
    assert.deepEqual(byPlace(await rounds(t, door, two).run()), ['3478 203.0.113.7 3478', '443 203.0.113.7 443']);
  });

  test('takes what there is, and fails with the reason when there is nothing', async (t) => {
    const half = new Door(({ place }) => (place === 0 ? { ip: '203.0.113.7', port: 3478 } : null));
    assert.deepEqual(byPlace(await rounds(t, half, two).run()), ['3478 203.0.113.7 3478']);
    const silent = new Door(() => null);
    await assert.rejects(rounds(t, silent, two).run(), /no answer from 198\.51\.100\.\d, 198\.51\.100\.\d/);
    await assert.rejects(rounds(t, silent, []).run(), /no STUN server is known/);
    await assert.rejects(rounds(t, silent, [{ host: 'other.example', port: 1 }]).run(), /can be resolved/);
    await assert.rejects(rounds(t, null, two).run(), /door is closed/);
    silent.places = [{ ip: '::', port: 1 }, PLACES[0]!].slice(1).map((place) => ({ ...place, ip: '2001:db8::1' }));
    await assert.rejects(rounds(t, silent, two).run(), /no port is open in the family/);
  });
});
