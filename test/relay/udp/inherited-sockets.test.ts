import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Clock } from '../../../src/base/clock.ts';
import { relayPlaces, type DoorPlace } from '../../../src/relay/udp/door-places.ts';
import type { UdpDoor, UdpDoorListener, UdpDoorSettings } from '../../../src/relay/udp/door.ts';
import { PlainDoor } from '../../../src/relay/udp/plain-door.ts';
import { ThreadDoor } from '../../../src/relay/udp/thread-door.ts';
import { Arena } from '../../../src/system/arena.ts';
import { MSG_DONTWAIT } from '../../../src/system/linux.ts';
import { loadSystemCalls } from '../../../src/system/runtime.ts';
import { UdpOpener, type UdpSocket } from '../../../src/system/udp-opener.ts';
import { transport } from '../../../src/transport/runtime.ts';
import { encodeBindingRequest, parseBindingResponse } from '../../../src/wire/stun.ts';
import { Fixture, pattern } from '../../system/fixture.ts';
import { bindMessage, BOUND, makeForwarder, payload } from './forwarder.ts';

const calls = await loadSystemCalls();
const module = new URL('./forwarder-thread.ts', import.meta.url);
const TRANSACTION = Buffer.from('twelve bytes');

interface World {
  readonly door: UdpDoor;
  readonly f: Fixture;
  readonly skipped: string[];
  /** Sends a message to the door, and returns what `to` receives: the bytes and the address they came from. */
  readonly pass: (from: UdpSocket, message: Buffer, ip: string, port: number, to: UdpSocket) => [Buffer, string];
}

async function withDoor(
  places: readonly DoorPlace[],
  test: (world: World) => void | Promise<void>,
  skipsTaken = false,
): Promise<void> {
  const skipped: string[] = [];
  const nothing = (): void => undefined;
  const listener: UdpDoorListener = {
    ...{ lost: nothing, missing: nothing, reopened: nothing, crashed: nothing },
    skipped: ({ ip }, error) => skipped.push(`${ip} ${error.message}`),
  };
  const settings: UdpDoorSettings = {
    places,
    skipsTaken,
    offload: { gro: true, gso: true, neverEqualTail: false },
    stun: { limit: null, generic: null, exempt: [] },
    rules: null,
    endpoints: 32,
  };
  const door = await ThreadDoor.open(calls, settings, listener, module);
  const f = new Fixture(calls);
  const batch = f.batch();
  const pass: World['pass'] = (from, message, ip, port, to) => {
    f.out.count = 0;
    f.add(message, ip, port);
    f.out.send(from.fd, 0, MSG_DONTWAIT);
    const [received] = f.receive(to, 1, batch);
    return [received!.bytes, received!.from!.ip];
  };
  try {
    await test({ door, f, skipped, pass });
  } finally {
    f.close();
    await door.close();
  }
}

/** Returns a bound socket as another program passes it, which the door closes. */
function bound(ip: string, isDual: boolean): UdpSocket {
  const arena = new Arena(calls, UdpOpener.arenaBytes);
  try {
    return new UdpOpener(calls, arena).open({ ip, port: 0, isDual, bufferBytes: 65_536, gro: false });
  } finally {
    arena.release();
  }
}

/** Checks that STUN, binds and forwarding work on a socket of both families, and leave from the address that was asked. */
function worksOnBothFamilies({ door, f, pass }: World): void {
  const { port } = door.places[0]!;
  const [a, b, c] = [f.open('127.0.0.1'), f.open('::1'), f.open('127.0.0.1')];
  for (const [client, ip, asked] of [
    [a, '127.0.0.1', '127.0.0.5'],
    [b, '::1', '::1'],
    // No list of the machine's addresses names this one.
    [a, '127.0.0.1', '127.9.9.9'],
  ] as const) {
    const [answer, from] = pass(client, encodeBindingRequest(TRANSACTION), asked, port, client);
    assert.equal(from, asked);
    const seen = parseBindingResponse(answer, 0, answer.length);
    assert.deepEqual([seen?.ip, seen?.port], [ip, client.port]);
  }
  assert.deepEqual(pass(a, bindMessage(3, 0), '127.0.0.6', port, a), [Buffer.from(BOUND), '127.0.0.6']);
  assert.deepEqual(pass(b, bindMessage(3, 1), '::1', port, b), [Buffer.from(BOUND), '::1']);
  for (const length of [0, 1, 1312, 9000]) {
    const message = payload(3, pattern(length, length));
    assert.deepEqual(pass(a, message, '127.0.0.6', port, b), [message, '::1']);
    assert.deepEqual(pass(b, message, '::1', port, a), [message, '127.0.0.6']);
  }
  // Two clients of IPv4: nothing of the handling of IPv6 is left in their sides.
  assert.deepEqual(pass(a, bindMessage(4, 0), '127.0.0.6', port, a), [Buffer.from(BOUND), '127.0.0.6']);
  assert.deepEqual(pass(c, bindMessage(4, 1), '127.0.0.7', port, c), [Buffer.from(BOUND), '127.0.0.7']);
  const message = payload(4, pattern(100, 1));
  assert.deepEqual(pass(a, message, '127.0.0.6', port, c), [message, '127.0.0.7']);
}

describe('a UDP door with sockets of both families', { timeout: 60_000, skip: calls.unavailable ?? false }, () => {
  it('that it opens itself', () =>
    withDoor([{ ip: '::', port: 0, isDual: true }], (world) => {
      assert.equal(world.door.places.length, 1);
      worksOnBothFamilies(world);
    }));

  it('that it inherits, beside a port that it opens', async () => {
    const { fd, port } = bound('::', true);
    const places = relayPlaces([port, 0], [{ ip: '::', port: 0, fd }]);
    await withDoor(places, (world) => {
      const [first, ...rest] = world.door.places;
      assert.deepEqual(first, { ip: '::', port, fd });
      assert.deepEqual(
        rest.map(({ ip }) => ip),
        ['0.0.0.0', '::'],
        'nothing else on the inherited port',
      );
      worksOnBothFamilies(world);
    });
  });

  it('finds the socket of a side, and asks STUN servers of both families from it', async () => {
    const { fd } = bound('::', true);
    await withDoor([{ ip: '::', port: 0, fd }], async ({ door, f }) => {
      for (const ip of ['127.0.0.1', '::1']) {
        const server = f.open(ip);
        door.query([{ id: TRANSACTION.toString('hex'), place: 0, ip, port: server.port }]);
        const [query] = f.receive(server, 1, f.batch());
        assert.deepEqual(query?.from?.port, door.places[0]!.port);
      }
      assert.equal(await door.command({ locate: 2 }), false, 'no side has its port');
    });
  });

  it('of one family that it inherits', async () => {
    const { fd, port } = bound('127.0.0.3', false);
    await withDoor([{ ip: '0.0.0.0', port: 0, fd }], ({ door, f, pass }) => {
      assert.deepEqual(door.places, [{ ip: '127.0.0.3', port, fd }]);
      const client = f.open('127.0.0.1');
      const [, from] = pass(client, encodeBindingRequest(TRANSACTION), '127.0.0.3', port, client);
      assert.equal(from, '127.0.0.3');
    });
  });

  it('a bug of the thread does not close what was inherited', async () => {
    const { fd, port } = bound('::', true);
    await withDoor([{ ip: '::', port: 0, fd }], async ({ door, f, pass }) => {
      await assert.rejects(door.command({ fail: true }));
      for (let isBack = false; !isBack;) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        isBack = await door.command(1).then(
          () => true,
          () => false,
        );
      }
      const client = f.open('127.0.0.1');
      const [, from] = pass(client, encodeBindingRequest(TRANSACTION), '127.0.0.5', port, client);
      assert.equal(from, '127.0.0.5');
    });
  });

  it('refuses a descriptor that is not a bound UDP socket', async () => {
    const { fd } = bound('::', true);
    await assert.rejects(
      withDoor([{ ip: '::', port: 0, fd: 0 }], () => undefined),
      { name: 'SystemCallError' },
    );
    await withDoor(
      [
        { ip: '::', port: 0, fd: 1_000_000 },
        { ip: '::', port: 0, fd },
      ],
      ({ door, skipped }) => {
        assert.equal(door.places.length, 1);
        assert.match(skipped.join(), /getsockopt: EBADF/);
      },
      true,
    );
  });
});

describe('a UDP door without system calls', { timeout: 60_000, skip: process.platform !== 'linux' }, () => {
  it('has nothing else on the port of an inherited socket', async () => {
    const nothing = (): void => undefined;
    const listener: UdpDoorListener = {
      ...{ skipped: nothing, lost: nothing, missing: nothing, reopened: nothing, crashed: nothing },
    };
    const log = { debug: nothing, info: nothing, warn: nothing };
    const asked: unknown[] = [];
    const socket = { address: { ip: '::', port: 3478 }, send: () => true, close: () => Promise.resolve() };
    const bindDatagram: typeof transport.bindDatagram = (ip, port, _handler, options = {}) => {
      asked.push([ip, port, options.fd]);
      return Promise.resolve(socket);
    };
    const door = await PlainDoor.open(
      {
        places: relayPlaces([3478], [{ ip: '::', port: 0, fd: 3 }]),
        skipsTaken: false,
        offload: { gro: true, gso: true, neverEqualTail: false },
        stun: { limit: null, generic: null, exempt: [] },
        rules: null,
        endpoints: 8,
      },
      { transport: { ...transport, bindDatagram }, clock: new Clock(), makeRules: makeForwarder, listener, log },
    );
    assert.deepEqual(asked, [['::', 0, 3]]);
    assert.deepEqual(door.places, [{ ip: '::', port: 3478, fd: 3 }]);
    await door.close();
  });
});
