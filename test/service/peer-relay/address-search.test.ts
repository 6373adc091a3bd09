import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import { Clock } from '../../../src/base/clock.ts';
import { AddressSearch, type AddressSearchParts } from '../../../src/service/peer-relay/address-search.ts';
import type { StunQuery } from '../../../src/relay/udp/stun-queries.ts';
import { transport } from '../../../src/transport/runtime.ts';

const SERVER = { host: '198.51.100.9', port: 3478 };

class World {
  readonly clock = new Clock();
  readonly search: AddressSearch;
  machine: readonly string[] = ['10.0.0.1'];
  names: Promise<readonly string[]> = Promise.resolve(['203.0.113.7']);
  changes = 0;
  readonly #asked: StunQuery[] = [];
  #time = performance.now();

  constructor(t: TestContext, advertise: Partial<AddressSearchParts['advertise']> = {}) {
    const door = {
      places: [{ ip: '0.0.0.0', port: 3478 }],
      onSighting: (): void => undefined,
      query: (queries: readonly StunQuery[]) => this.#asked.push(...queries),
    };
    const log = { info: (): void => undefined, warn: (): void => undefined };
    this.search = new AddressSearch({
      ...{ transport, clock: this.clock, log, door: () => door, ports: () => [3478] },
      advertise: { addresses: [], only: false, stunServers: [], portMapping: 'off', ...advertise },
      tailnetServers: () => [SERVER],
      nonceOf: () => Buffer.alloc(12),
      changed: () => this.changes++,
      resolve: () => this.names,
      interfaces: () => this.machine,
    });
    t.after(() => this.search.stop());
  }

  get ips(): string {
    return this.search.addresses.addresses.map(({ ip }) => ip).join(' ');
  }

  /** Returns how many queries were sent since the last call. */
  takeAsked(): number {
    return this.#asked.splice(0).length;
  }

  async later(ms: number): Promise<void> {
    this.clock.tick((this.#time += ms));
    for (let i = 0; i < 5; i++) await new Promise(setImmediate);
  }
}

suite('the search for the addresses of the relay', { timeout: 30_000 }, () => {
  test('follows the machine within seconds, and asks STUN servers again at once', async (t) => {
    const world = new World(t);
    await world.search.start();
    for (let i = 0; i < 10; i++) await world.later(800);
    assert.ok(world.takeAsked() > 0);
    assert.equal(world.ips, '10.0.0.1');
    await world.later(1000);
    assert.equal(world.takeAsked(), 0, 'after a round without an answer there is a pause');
    world.machine = ['10.9.9.9'];
    await world.later(5000);
    assert.equal(world.ips, '10.9.9.9');
    assert.equal(world.changes, 1);
    assert.ok(world.takeAsked() > 0, 'a new network may have another public address');
  });

  test('asks STUN servers again also when names are looked up at the same moment', async (t) => {
    const world = new World(t, { addresses: ['relay.example.com'] });
    world.names = Promise.reject(new Error('SERVFAIL'));
    await world.search.start();
    for (let i = 0; i < 10; i++) await world.later(800);
    assert.ok(world.takeAsked() > 0);
    world.machine = ['10.9.9.9'];
    // After ten seconds both are due.
    await world.later(5000);
    assert.equal(world.ips, '10.9.9.9');
    assert.ok(world.takeAsked() > 0);
  });

  test('does not hold up the start for a resolver that does not answer', async (t) => {
    let answer: (ips: readonly string[]) => void = () => undefined;
    const world = new World(t, { addresses: ['relay.example.com'], only: true });
    world.names = new Promise((resolve) => (answer = resolve));
    await world.search.start();
    assert.equal(world.ips, '');
    answer(['203.0.113.7']);
    await world.later(0);
    assert.equal(world.ips, '203.0.113.7');
    assert.equal(world.changes, 1);
  });

  test('looks a name up again soon while it cannot be resolved', async (t) => {
    const world = new World(t, { addresses: ['relay.example.com'], only: true });
    world.names = Promise.reject(new Error('SERVFAIL'));
    await world.search.start();
    world.names = Promise.resolve(['203.0.113.8']);
    await world.later(11_000);
    assert.equal(world.ips, '203.0.113.8');
  });
});
