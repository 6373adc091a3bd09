import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { suite, test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { Clock } from '../../../src/base/clock.ts';
import { DoorCount } from '../../../src/relay/udp/door-counts.ts';
import type { UdpDoor, UdpDoorSettings } from '../../../src/relay/udp/door.ts';
import { makeRelayRules } from '../../../src/relay/udp/make-rules.ts';
import { PlainDoor } from '../../../src/relay/udp/plain-door.ts';
import { StunQueries, type StunSighting } from '../../../src/relay/udp/stun-queries.ts';
import { ThreadDoor } from '../../../src/relay/udp/thread-door.ts';
import { loadSystemCalls } from '../../../src/system/runtime.ts';
import { transport } from '../../../src/transport/runtime.ts';
import { encodeBindingRequest, MAX_STUN_RESPONSE_BYTES } from '../../../src/wire/stun.ts';
import { within } from '../../service/support.ts';
import { writeStunResponse } from '../../wire/stun-response.ts';

const calls = await loadSystemCalls();
const ID = '0102030405060708090a0b0c';

/** Makes the answer to a query with this id. */
function answer(id: string, ip: string, port: number): Buffer {
  const out = Buffer.alloc(MAX_STUN_RESPONSE_BYTES);
  return out.subarray(0, writeStunResponse(out, encodeBindingRequest(Buffer.from(id, 'hex')), 0, ip, port));
}

suite('queries that wait for a STUN answer', () => {
  test('take the answer to each of them once, and no other', () => {
    const queries = new StunQueries();
    const bytes = answer(ID, '203.0.113.7', 40_000);
    assert.equal(queries.isAnswer(bytes, 0), true);
    assert.equal(queries.isAnswer(encodeBindingRequest(Buffer.from(ID, 'hex')), 0), false);
    assert.equal(queries.take(bytes, 0, bytes.length), null);
    queries.expect(ID);
    queries.expect(ID);
    assert.equal(queries.take(answer('ff'.repeat(12), '203.0.113.7', 1), 0, bytes.length), null);
    assert.equal(queries.take(bytes, 0, bytes.length - 1), null, 'a cut answer');
    assert.deepEqual(queries.take(bytes, 0, bytes.length), { id: ID, ip: '203.0.113.7', port: 40_000 });
    assert.equal(queries.take(bytes, 0, bytes.length), null);
  });

  test('are bounded, and no bytes harm them', () => {
    const queries = new StunQueries();
    for (let i = 0; i < 1000; i++) queries.expect(i.toString(16).padStart(24, '0'));
    const first = answer('0'.repeat(24), '192.0.2.1', 1);
    assert.equal(queries.take(first, 0, first.length), null, 'the oldest gave way');
    const head = answer((999).toString(16).padStart(24, '0'), '192.0.2.1', 1).subarray(0, 20);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (rest) => {
        const bytes = Buffer.concat([head, rest]);
        queries.expect(head.toString('hex', 8, 20));
        queries.take(bytes, 0, bytes.length);
      }),
    );
  });
});

/** A STUN server that answers with the address of the client, and does not answer the first `silent` requests. */
async function stunServer(t: TestContext, ip: string, silent = 0): Promise<number> {
  const socket = createSocket(ip.includes(':') ? 'udp6' : 'udp4');
  let left = silent;
  socket.on('message', (request, { address, port }) => {
    if (left-- > 0) return;
    const stray = answer('ee'.repeat(12), '192.0.2.99', 9);
    socket.send(stray, port, address);
    socket.send(answer(request.toString('hex', 8, 20), address, port), port, address);
  });
  socket.bind(0, ip);
  await once(socket, 'listening');
  t.after(() => socket.close());
  return socket.address().port;
}

const settings: UdpDoorSettings = {
  places: [
    { ip: '0.0.0.0', port: 0 },
    { ip: '::', port: 0 },
  ],
  skipsTaken: false,
  offload: { gro: true, gso: true, neverEqualTail: false },
  stun: { limit: null, generic: null, exempt: [] },
  rules: null,
  endpoints: 8,
};
const nothing = (): void => {};
const log = { debug: nothing, info: nothing, warn: nothing };
const listener = {
  ...{ skipped: nothing, lost: nothing, missing: nothing, reopened: nothing, crashed: nothing },
};

const doors: Readonly<Record<string, (clock: Clock) => Promise<UdpDoor>>> = {
  datagrams: (clock) => PlainDoor.open(settings, { transport, clock, makeRules: makeRelayRules, listener, log }),
  ...(calls.unavailable === null ? { thread: () => ThreadDoor.open(calls, settings, listener) } : {}),
};

for (const [name, open] of Object.entries(doors)) {
  test(`a door (${name}) asks STUN servers of both families from its own sockets`, { timeout: 30_000 }, async (t) => {
    const clock = new Clock();
    clock.start();
    const door = await open(clock);
    t.after(async () => {
      await door.close();
      clock.stop();
    });
    const sightings: StunSighting[] = [];
    for (const ip of ['127.0.0.1', '::1']) {
      const port = await stunServer(t, ip);
      const place = door.places.findIndex((one) => one.ip === '::' || one.ip.includes(':') === ip.includes(':'));
      const own = ip === '::1' ? door.places.findIndex((one) => one.ip === '::') : place;
      const seen = new Promise<void>((resolve) => {
        door.onSighting = (sighting) => {
          sightings.push(sighting);
          resolve();
        };
      });
      const id = Buffer.alloc(12, ip).toString('hex');
      door.query([{ id, place: own, ip, port }]);
      await within(seen, `an answer to ${ip}`);
      assert.deepEqual(sightings.at(-1), { id, ip, port: door.places[own]!.port });
    }
    await door.command({ kind: 'snapshot', id: 1, endpoints: 0 });
    assert.equal(sightings.length, 2);
    assert.equal(door.counts[DoorCount.stunNotStun], 2, 'answers to nothing are counted');
    door.query([{ id: ID, place: 99, ip: '127.0.0.1', port: 9 }]);
    await door.command({ kind: 'snapshot', id: 2, endpoints: 0 });
  });
}
