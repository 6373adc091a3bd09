import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Clock } from '../../src/base/clock.ts';
import { Counters } from '../../src/observe/counters.ts';
import type { UdpDoor } from '../../src/relay/udp/door.ts';
import { openUdpDoor } from '../../src/relay/udp/open-door.ts';
import { StunDoor, type StunDoorParts } from '../../src/service/stun-door.ts';
import { loadSystemCalls } from '../../src/system/runtime.ts';
import { transport } from '../../src/transport/runtime.ts';
import { encodeBindingRequest } from '../../src/wire/stun.ts';
import { TestRelay } from './support.ts';
import { askStun } from '../relay/udp/stun-client.ts';

const STUN = { limit: null, generic: null, exempt: [] };
const EVERYWHERE = [{ ip: '::', port: 0 }];
const { unavailable } = await loadSystemCalls();

interface Created {
  readonly door: StunDoor;
  readonly counters: Counters;
  /** Resolves when the door has done what it was told before. */
  readonly settled: () => Promise<unknown>;
}

function create(): Created {
  const counters = new Counters();
  const write = (): void => undefined;
  const parts = { transport, clock: new Clock(), log: { debug: write, info: write, warn: write, error: write } };
  let opened: UdpDoor | undefined;
  const openDoor: StunDoorParts['openDoor'] = async (settings) => (opened = await openUdpDoor(settings, parts));
  return { counters, door: new StunDoor({ counters, openDoor }), settled: async () => opened?.command(null) };
}

describe('STUN without a peer relay', { skip: process.platform !== 'linux', timeout: 60_000 }, () => {
  it('answers from the address that was asked, and counts', async () => {
    const { door, counters } = create();
    await door.open(EVERYWHERE, STUN);
    try {
      assert.equal(door.places.length, 1);
      // The last one is on no list of the machine's addresses.
      const asked = ['127.0.0.1', '127.0.0.2', '127.0.1.1', '::1', ...(unavailable === null ? ['127.200.1.9'] : [])];
      for (const ip of asked) await askStun(ip, door.places[0]!.port);
      door.countStun();
      const { stunSuccess, stunIpv6, stunNotStun, stunReadErrors, stunWriteErrors } = counters;
      assert.deepEqual(
        { stunSuccess, stunIpv6, stunNotStun, stunReadErrors, stunWriteErrors },
        { stunSuccess: asked.length, stunIpv6: 1, stunNotStun: asked.length, stunReadErrors: 0, stunWriteErrors: 0 },
      );
    } finally {
      await door.close();
    }
    assert.deepEqual(door.places, []);
  });

  it('refuses a port that is in use, and is silent from its start when it was told so', async () => {
    const [first, second] = [create(), create()];
    first.door.setSilent('the certificate has expired');
    await first.door.open(EVERYWHERE, STUN);
    const { port } = first.door.places[0]!;
    try {
      await assert.rejects(second.door.open([{ ip: '::', port }], STUN), { code: 'TOWPATH_LISTEN_IN_USE' });
      await first.settled();
      const heard: Buffer[] = [];
      const early = createSocket('udp4').on('message', (bytes) => heard.push(bytes));
      early.send(encodeBindingRequest(randomBytes(12)), port, '127.0.0.1');
      early.send('no STUN', port, '127.0.0.1');
      // The door has handled the request when it has counted the datagram after it.
      while (first.counters.stunNotStun === 0) {
        await Promise.all([first.settled(), nextTurn()]);
        first.door.countStun();
      }
      first.door.setSilent(null);
      await first.settled();
      await askStun('127.0.0.1', port);
      early.close();
      assert.deepEqual(heard, []);
    } finally {
      await first.door.close();
    }
    await second.door.open([{ ip: '::', port }], STUN);
    await askStun('127.0.0.2', port);
    await second.door.close();
  });

  it('leaves nothing open when it is closed while it opens', async () => {
    const { door } = create();
    const opening = door.open(EVERYWHERE, STUN);
    await door.close();
    await opening;
    assert.deepEqual(door.places, []);
  });

  it('of a whole relay tells the counts when they are read', async () => {
    const relay = await TestRelay.start({ TOWPATH_STUN: '[::]:0' });
    try {
      const { stun } = relay.relay.addresses;
      assert.deepEqual(stun, [{ ip: '::', port: stun[0]!.port }]);
      await askStun('127.0.0.1', stun[0]!.port);
      assert.equal(relay.relay.counters.stunIpv4, 1);
    } finally {
      await relay.stop();
    }
  });
});
