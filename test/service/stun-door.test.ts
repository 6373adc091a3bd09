import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Clock } from '../../src/base/clock.ts';
import { Counters } from '../../src/observe/counters.ts';
import type { UdpDoor } from '../../src/relay/udp/door.ts';
import { openUdpDoor } from '../../src/relay/udp/open-door.ts';
import { StunDoor, type StunDoorParts } from '../../src/service/stun-door.ts';
import { loadSystemCalls } from '../../src/system/runtime.ts';
import { transport } from '../../src/transport/runtime.ts';
import { encodeBindingRequest, parseBindingResponse } from '../../src/wire/stun.ts';
import { TestRelay, within } from './support.ts';

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

/** Asks with a socket that is connected to `ip`, and so gets answers only from there. */
async function ask(ip: string, port: number): Promise<void> {
  const socket = createSocket(ip.includes(':') ? 'udp6' : 'udp4');
  try {
    const connected = once(socket, 'connect');
    socket.connect(port, ip);
    await connected;
    const transaction = randomBytes(12);
    const answer = once(socket, 'message') as Promise<[Buffer]>;
    socket.send('no STUN');
    socket.send(encodeBindingRequest(transaction));
    const [bytes] = await within(answer, `an answer from ${ip}`);
    assert.ok(parseBindingResponse(bytes, 0, bytes.length)?.transactionId.equals(transaction));
  } finally {
    socket.close();
  }
}

describe('STUN without a peer relay', { skip: process.platform !== 'linux', timeout: 60_000 }, () => {
  it('answers from the address that was asked, and counts', async () => {
    const { door, counters } = create();
    await door.open(EVERYWHERE, STUN);
    try {
      assert.equal(door.places.length, 1);
      // The last one is on no list of the machine's addresses.
      const asked = ['127.0.0.1', '127.0.0.2', '127.0.1.1', '::1', ...(unavailable === null ? ['127.200.1.9'] : [])];
      for (const ip of asked) await ask(ip, door.places[0]!.port);
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
      await ask('127.0.0.1', port);
      early.close();
      assert.deepEqual(heard, []);
    } finally {
      await first.door.close();
    }
    await second.door.open([{ ip: '::', port }], STUN);
    await ask('127.0.0.2', port);
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
      await ask('127.0.0.1', stun[0]!.port);
      assert.equal(relay.relay.counters.stunIpv4, 1);
    } finally {
      await relay.stop();
    }
  });
});
