import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { Clock } from '../../src/clock.ts';
import { backoffMs, ReconnectingClient } from '../../src/client/reconnecting-client.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { transport } from '../../src/transport/runtime.ts';
import { FakeRelay } from './fake-relay.ts';

describe('backoffMs (§8.4)', () => {
  it('is n² · 10 ms, at most 5 s, times 0.5 to 1.5', () => {
    assert.deepEqual(
      [1, 2, 10, 22, 23, 1000].map((failures) => backoffMs(failures, 0.5)),
      [10, 40, 1000, 4840, 5000, 5000],
    );
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0, max: 1, noNaN: true }), (failures, random) => {
        const ms = backoffMs(failures, random);
        assert.ok(ms >= 0 && ms <= 7500);
      }),
    );
  });
});

describe('ReconnectingClient', () => {
  let relay: FakeRelay;
  const clock = new Clock();
  beforeEach(async () => {
    clock.start();
    relay = await FakeRelay.start();
  });
  afterEach(async () => {
    clock.stop();
    await relay.stop();
  });

  it('connects again when the relay closes, until it is stopped', async () => {
    const events: string[] = [];
    const stopped = Promise.withResolvers<undefined>();
    let connects = 0;
    const client: ReconnectingClient = new ReconnectingClient(
      { transport, clock, url: relay.url, handler: { closed: () => events.push('closed') } },
      {
        connected(connection: DerpClient) {
          events.push('connected');
          assert.equal(client.client, connection);
          if (++connects < 3) for (const other of relay.connections) other.stream.abort();
          else {
            client.stop();
            stopped.resolve(undefined);
          }
        },
        disconnected: (_error, retryInMs) => events.push(`retry in ${retryInMs}`),
      },
      () => 0.5,
    );
    await stopped.promise;
    const once = ['connected', 'retry in 10', 'closed'];
    assert.deepEqual(events, [...once, ...once, 'connected', 'closed']);
    assert.equal(client.client, null);
  });

  it('waits longer after each failure in a row', async () => {
    const { url } = relay;
    await relay.stop();
    const waits: number[] = [];
    const enough = Promise.withResolvers<undefined>();
    const client = new ReconnectingClient(
      { transport, clock, url },
      {
        disconnected(_error, retryInMs) {
          waits.push(retryInMs);
          if (waits.length === 3) enough.resolve(undefined);
        },
      },
      () => 0.5,
    );
    await enough.promise;
    client.stop();
    assert.deepEqual(waits, [10, 40, 90]);
    relay = await FakeRelay.start();
  });

  it('passes packets on to the handler it was given', async () => {
    const got = Promise.withResolvers<string>();
    const client = new ReconnectingClient(
      {
        transport,
        clock,
        url: relay.url,
        handler: { packet: (_source, buffer, from, to) => got.resolve(buffer.toString('utf8', from, to)) },
      },
      { connected: (connection) => connection.send(connection.publicKey, Buffer.from('to myself')) },
    );
    assert.equal(await got.promise, 'to myself');
    client.stop();
  });
});
