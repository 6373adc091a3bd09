import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DoorCount, type DoorCountName } from '../../../src/relay/udp/door-counts.ts';
import type { DoorPlace } from '../../../src/relay/udp/door-places.ts';
import type { UdpDoorSettings } from '../../../src/relay/udp/door.ts';
import type { UdpRelayLimits } from '../../../src/relay/udp/limits.ts';
import { ThreadDoor } from '../../../src/relay/udp/thread-door.ts';
import { MSG_DONTWAIT, SystemCallError } from '../../../src/system/linux.ts';
import { loadSystemCalls } from '../../../src/system/runtime.ts';
import type { UdpSocket } from '../../../src/system/udp-opener.ts';
import { encodeBindingRequest, parseBindingResponse } from '../../../src/wire/stun.ts';
import { Fixture, pattern } from '../../system/fixture.ts';
import { bindMessage, BOUND, payload } from './forwarder.ts';

const calls = await loadSystemCalls();
const module = new URL('./forwarder-thread.ts', import.meta.url);
const EVERYWHERE: readonly DoorPlace[] = [
  { ip: '0.0.0.0', port: 0 },
  { ip: '::', port: 0 },
];

const LIMITS: UdpRelayLimits = {
  endpoints: 16,
  endpointsPerNode: 16,
  endpointsPerPair: 4,
  allocationsPerMinute: 60,
  bytesPerSecondPerNode: 0,
  totalBytesPerSecond: 0,
  idleSeconds: 60,
};

interface Opened {
  readonly door: ThreadDoor;
  readonly events: string[];
  readonly f: Fixture;
  readonly count: (name: DoorCountName) => number;
  /** Sends one message and returns the first `answers` messages that `at` receives. */
  readonly exchange: (from: UdpSocket, message: Buffer, to: DoorPlace, at: UdpSocket, answers: number) => Buffer[];
}

async function withDoor(
  settings: Partial<UdpDoorSettings>,
  test: (opened: Opened) => void | Promise<void>,
): Promise<void> {
  const events: string[] = [];
  const door = await ThreadDoor.open(
    calls,
    {
      places: EVERYWHERE,
      skipsTaken: false,
      offload: { gro: true, gso: true, neverEqualTail: false },
      stun: { limit: null, generic: null, exempt: [] },
      rules: null,
      endpoints: 32,
      ...settings,
    },
    {
      skipped: ({ ip }, error) => events.push(`skipped ${ip} ${error.message}`),
      lost: ({ ip }, error) => events.push(`lost ${ip} ${error.message}`),
      missing: (addresses) => events.push(`missing ${addresses.join(' ')}`),
      reopened: ({ ip }, error) => events.push(`reopened ${ip} ${error?.message ?? 'well'}`),
      crashed: (error) => events.push(`crashed ${error.message}`),
    },
    module,
  );
  const f = new Fixture(calls);
  const batch = f.batch();
  try {
    await test({
      door,
      events,
      f,
      count: (name) => door.counts[DoorCount[name]]!,
      exchange: (from, message, to, at, answers) => {
        f.out.count = 0;
        f.add(message, to.ip, to.port);
        f.out.send(from.fd, 0, MSG_DONTWAIT);
        return f.receive(at, answers, batch).map(({ bytes }) => bytes);
      },
    });
  } finally {
    f.close();
    await door.close();
  }
}

function at(ip: string, { port }: DoorPlace): DoorPlace {
  return { ip, port };
}

describe('UDP door as a thread', { timeout: 60_000, skip: calls.unavailable ?? false }, () => {
  it('forwards between two addresses of a port, IPv4 and IPv6, every byte', () =>
    withDoor({}, async ({ door, f, exchange, count }) => {
      const [v4, v6] = door.places as [DoorPlace, DoorPlace];
      const [a, b] = [f.open('127.0.0.1'), f.open('::1')];
      assert.deepEqual(exchange(a, bindMessage(3, 0), at('127.0.0.9', v4), a, 1), [Buffer.from(BOUND)]);
      assert.deepEqual(exchange(b, bindMessage(3, 1), at('::1', v6), b, 1), [Buffer.from(BOUND)]);
      for (const length of [0, 1, 1312, 9000, 60_000]) {
        const message = payload(3, pattern(length, length));
        assert.deepEqual(exchange(a, message, at('127.0.0.9', v4), b, 1), [message]);
        assert.deepEqual(exchange(b, message, at('::1', v6), a, 1), [message]);
      }
      await door.command(null);
      assert.ok(count('sentBytes') > 140_000);
    }));

  it('answers from the address that was asked, a bind as STUN, and forwards from it (peer relay §19.23)', () =>
    withDoor({}, ({ door, f }) => {
      const { port } = door.places[0]!;
      const [a, b] = [f.open('127.0.0.1'), f.open('127.0.0.1')];
      const batch = f.batch();
      const ask = (from: UdpSocket, message: Buffer, ip: string, to: UdpSocket): string | undefined => {
        f.out.count = 0;
        f.add(message, ip, port);
        f.out.send(from.fd, 0, MSG_DONTWAIT);
        return f.receive(to, 1, batch)[0]!.from?.ip;
      };
      const transaction = Buffer.from('of this test');
      assert.equal(ask(a, encodeBindingRequest(transaction), '127.0.0.5', a), '127.0.0.5');
      assert.equal(ask(a, bindMessage(1, 0), '127.0.0.6', a), '127.0.0.6');
      assert.equal(ask(b, bindMessage(1, 1), '127.0.0.7', b), '127.0.0.7');
      assert.equal(ask(a, payload(1, pattern(10, 1)), '127.0.0.6', b), '127.0.0.7');
      assert.equal(ask(b, payload(1, pattern(10, 1)), '127.0.0.7', a), '127.0.0.6');
    }));

  it('tells STUN clients of both families their address, and can be silent', () =>
    withDoor({}, async ({ door, f, exchange, count }) => {
      const request = encodeBindingRequest(Buffer.from('twelve bytes'));
      for (const [i, ip] of ['127.0.0.1', '::1'].entries()) {
        const client = f.open(ip);
        const [answer] = exchange(client, request, at(ip, door.places[i]!), client, 1);
        const seen = parseBindingResponse(answer!, 0, answer!.length);
        assert.deepEqual([seen?.ip, seen?.port], [ip, client.port]);
      }
      door.setSilent(true);
      await door.command(null);
      const client = f.open('127.0.0.1');
      exchange(client, request, at('127.0.0.1', door.places[0]!), client, 0);
      // A later forwarded datagram shows that the request was handled.
      exchange(client, bindMessage(1, 0), at('127.0.0.1', door.places[0]!), client, 1);
      await door.command(null);
      assert.deepEqual([count('stunIpv4'), count('stunIpv6')], [1, 1]);
    }));

  it('a row of datagrams of one sender goes out as it came in, and what goes another way apart from it (peer relay §19.20)', () =>
    withDoor({}, async ({ door, f, count }) => {
      const place = at('127.0.0.1', door.places[0]!);
      const [a, b] = [f.open('127.0.0.1'), f.open('127.0.0.1', true)];
      const batch = f.batch();
      const send = (message: Buffer, segment: number): void => {
        f.out.count = 0;
        f.add(message, place.ip, place.port);
        if (segment > 0) f.out.setSegment(segment);
        assert.equal(f.out.send(a.fd, 0, MSG_DONTWAIT), 1);
      };
      for (const endpoint of [1, 2]) {
        send(bindMessage(endpoint, 0), 0);
        f.receive(a, 1, batch);
        f.out.count = 0;
        f.add(bindMessage(endpoint, 1), place.ip, place.port);
        f.out.send(b.fd, 0, MSG_DONTWAIT);
        f.receive(b, 1, batch);
      }
      // An answer to a command shows that the thread has counted its earlier work.
      await door.command(null);
      const before = count('sentBatches');
      const row = Buffer.concat(Array.from({ length: 40 }, (_, i) => payload(1, pattern(1192, i))));
      const tail = payload(1, pattern(300, 99));
      send(Buffer.concat([row, tail]), 1200);
      const [together] = f.receive(b, 1, batch);
      assert.equal(together?.segmentBytes, 1200);
      assert.deepEqual(together.bytes, Buffer.concat([row, tail]));
      await door.command(null);
      assert.equal(count('sentBatches') - before, 1);
      // Two endpoints in turn, and one byte at the end, as some clients send.
      const mixed = Array.from({ length: 6 }, (_, i) => payload(1 + (i % 2), pattern(492, i)));
      send(Buffer.concat([...mixed, Buffer.from([7])]), 500);
      const ofEach = [0, 1].map((parity) => Buffer.concat(mixed.filter((_, i) => i % 2 === parity)));
      assert.deepEqual(
        f.receive(b, 2, batch).map(({ bytes }) => bytes),
        ofEach,
      );
      await door.command(null);
      assert.equal(count('sentBatches') - before, 3);
    }));

  it('without segments where the kernel or an attribute forbids them, and with a tail where it spoils equal rows', () =>
    withDoor({ offload: { gro: true, gso: false, neverEqualTail: true } }, async ({ door, f, exchange }) => {
      const place = at('127.0.0.1', door.places[0]!);
      const [a, b] = [f.open('127.0.0.1'), f.open('127.0.0.1')];
      exchange(a, bindMessage(0, 0), place, a, 1);
      exchange(b, bindMessage(0, 1), place, b, 1);
      const row = Array.from({ length: 10 }, (_, i) => payload(0, pattern(392, i)));
      const send = (): Buffer[] => {
        f.out.count = 0;
        f.add(Buffer.concat(row), place.ip, place.port);
        f.out.setSegment(400);
        f.out.send(a.fd, 0, MSG_DONTWAIT);
        return f.receive(b, row.length, f.batch(2048, 16)).map(({ bytes }) => bytes);
      };
      assert.deepEqual(send(), row);
      door.setOffload({ gro: true, gso: true, neverEqualTail: true });
      await door.command(null);
      f.out.count = 0;
      f.add(Buffer.concat(row), place.ip, place.port);
      f.out.setSegment(400);
      f.out.send(a.fd, 0, MSG_DONTWAIT);
      const withTail = f.receive(b, row.length + 1, f.batch(2048, 16)).map(({ bytes }) => bytes);
      assert.deepEqual(withTail, [...row, Buffer.from([7])]);
      // Without GRO, there are other sockets on the same ports; the sides refer to them by number.
      door.setOffload({ gro: false, gso: true, neverEqualTail: false });
      await door.command(null);
      assert.deepEqual(send(), row);
    }));

  it('refuses when a port is taken, and says which; or goes on with the others', async () => {
    const f = new Fixture(calls);
    try {
      const { port } = f.open('127.0.0.1');
      const places = [
        { ip: '127.0.0.1', port },
        { ip: '127.0.0.1', port: 0 },
      ];
      await assert.rejects(
        withDoor({ places }, () => undefined),
        (error: unknown) => {
          assert.ok(error instanceof SystemCallError && 'place' in error);
          assert.deepEqual([error.call, error.code, error.place], ['bind', 'EADDRINUSE', places[0]]);
          return true;
        },
      );
      await withDoor({ places, skipsTaken: true }, ({ door, events }) => {
        assert.equal(door.places.length, 1);
        assert.deepEqual(events, ['skipped 127.0.0.1 bind: EADDRINUSE']);
      });
      await assert.rejects(
        withDoor({ places: places.slice(0, 1), skipsTaken: true }, () => undefined),
        SystemCallError,
      );
    } finally {
      f.close();
    }
  });

  it('takes messages while it is idle, finds the socket of a side, and ends at once', () =>
    withDoor({}, async ({ door, f, exchange }) => {
      assert.deepEqual(await door.command('x'), { echo: 'x', ticks: 0 });
      const a = f.open('127.0.0.1');
      exchange(a, bindMessage(0, 0), at('127.0.0.1', door.places[0]!), a, 1);
      assert.equal(await door.command({ locate: 0 }), true);
      const ended = door.close();
      await assert.rejects(door.command('late'), /closed/);
      await ended;
      await door.close();
    }));

  it('a bug ends the thread, which is said and starts again on the same ports, with the limits of the day', () =>
    withDoor({ rules: { limits: LIMITS, state: null, stateAgeMs: 0 } }, async ({ door, events, f, exchange }) => {
      const { port } = door.places[0]!;
      const limits = { ...LIMITS, endpointsPerNode: 2 };
      door.setLimits(limits);
      await assert.rejects(door.command({ fail: true }), /a bug in the rules/);
      assert.match(events[0]!, /^crashed .*a bug in the rules/);
      for (let isBack = false; !isBack;) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        isBack = await door.command(1).then(
          () => true,
          () => false,
        );
      }
      const a = f.open('127.0.0.1');
      assert.equal(door.places[0]!.port, port);
      assert.deepEqual(await door.command({ settings: true }), { limits, state: null, stateAgeMs: 0 });
      exchange(a, bindMessage(0, 0), at('127.0.0.1', door.places[0]!), a, 1);
    }));
});
