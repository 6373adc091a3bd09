import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Clock } from '../../../src/base/clock.ts';
import { TowpathError } from '../../../src/base/errors.ts';
import { DoorCount } from '../../../src/relay/udp/door-counts.ts';
import type { DoorPlace } from '../../../src/relay/udp/door-places.ts';
import type { UdpDoorSettings } from '../../../src/relay/udp/door.ts';
import type { UdpRelayLimits } from '../../../src/relay/udp/limits.ts';
import { openUdpDoor } from '../../../src/relay/udp/open-door.ts';
import { PlainDoor } from '../../../src/relay/udp/plain-door.ts';
import { loadSystemCalls } from '../../../src/system/runtime.ts';
import { transport } from '../../../src/transport/runtime.ts';
import { encodeBindingRequest, parseBindingResponse } from '../../../src/wire/stun.ts';
import { bindMessage, BOUND, makeForwarder, payload } from './forwarder.ts';

const EVERYWHERE: readonly DoorPlace[] = [
  { ip: '0.0.0.0', port: 0 },
  { ip: '::', port: 0 },
];

const LIMITS: UdpRelayLimits = {
  endpoints: 8,
  endpointsPerNode: 8,
  endpointsPerPair: 4,
  allocationsPerMinute: 60,
  bytesPerSecondPerNode: 0,
  totalBytesPerSecond: 0,
  idleSeconds: 60,
};

function settings(changes: Partial<UdpDoorSettings> = {}): UdpDoorSettings {
  return {
    places: EVERYWHERE,
    skipsTaken: false,
    offload: { gro: true, gso: true, neverEqualTail: false },
    stun: { limit: null, generic: null, exempt: [] },
    rules: null,
    endpoints: 8,
    ...changes,
  };
}

function logOf(lines: string[]): Parameters<typeof openUdpDoor>[1]['log'] {
  const write = (_fields: object, text: string): number => lines.push(text);
  return { debug: write, info: write, warn: write, error: write };
}

async function client(ip: string): Promise<Socket> {
  const socket = createSocket(ip.includes(':') ? 'udp6' : 'udp4');
  socket.bind(0, ip);
  await once(socket, 'listening');
  return socket;
}

async function ask(
  from: Socket,
  message: Buffer,
  ip: string,
  port: number,
  to: Socket = from,
): Promise<[Buffer, string]> {
  const answer = once(to, 'message') as Promise<[Buffer, { address: string }]>;
  from.send(message, port, ip);
  const [bytes, { address }] = await answer;
  return [bytes, address];
}

async function closed(socket: Socket): Promise<void> {
  const end = once(socket, 'close');
  socket.close();
  await end;
}

describe('UDP door by datagram sockets', { timeout: 60_000 }, () => {
  it('forwards, answers STUN, and does both from the address that was asked', async () => {
    const clock = new Clock();
    const listener = {
      skipped: () => 0,
      lost: () => 0,
      missing: () => 0,
      reopened: () => 0,
      crashed: () => 0,
    };
    const door = await PlainDoor.open(settings(), {
      transport,
      clock,
      makeRules: makeForwarder,
      listener,
      log: logOf([]),
    });
    const [a, b] = [await client('127.0.0.1'), await client('127.0.0.1')];
    try {
      const { port } = door.places[0]!;
      assert.deepEqual(await ask(a, bindMessage(1, 0), '127.0.0.2', port), [Buffer.from(BOUND), '127.0.0.2']);
      assert.deepEqual(await ask(b, bindMessage(1, 1), '127.0.0.3', port), [Buffer.from(BOUND), '127.0.0.3']);
      for (const length of [0, 1, 1312, 9000]) {
        const message = payload(1, Buffer.alloc(length, length));
        assert.deepEqual(await ask(a, message, '127.0.0.2', port, b), [message, '127.0.0.3']);
        assert.deepEqual(await ask(b, message, '127.0.0.3', port, a), [message, '127.0.0.2']);
      }
      const [answer, from] = await ask(a, encodeBindingRequest(Buffer.from('twelve bytes')), '127.0.0.4', port);
      assert.equal(parseBindingResponse(answer, 0, answer.length)?.port, a.address().port);
      assert.equal(from, '127.0.0.4');
      clock.tick(clock.now + 2000);
      assert.deepEqual(await door.command('x'), { echo: 'x', ticks: 1 });
      assert.equal(await door.command({ locate: 2 }), true);
      assert.equal(door.counts[DoorCount.stunIpv4], 1);
      assert.equal(door.counts[DoorCount.sentBatches], 11);
    } finally {
      await Promise.all([closed(a), closed(b), door.close()]);
    }
    await assert.rejects(door.command('late'), /closed/);
  });

  it('listens on one address alone where one is configured', async () => {
    const clock = new Clock();
    const listener = {
      skipped: () => 0,
      lost: () => 0,
      missing: () => 0,
      reopened: () => 0,
      crashed: () => 0,
    };
    const places = [{ ip: '127.0.0.2', port: 0 }];
    const door = await PlainDoor.open(settings({ places }), {
      transport,
      clock,
      makeRules: makeForwarder,
      listener,
      log: logOf([]),
    });
    clock.tick(clock.now + 6000);
    const { port } = door.places[0]!;
    const [other, asker] = [createSocket('udp4'), await client('127.0.0.1')];
    try {
      other.bind(port, '127.0.0.1');
      await once(other, 'listening');
      const [answer] = await ask(asker, encodeBindingRequest(Buffer.from('twelve bytes')), '127.0.0.2', port);
      assert.equal(parseBindingResponse(answer, 0, answer.length)?.ip, '127.0.0.1');
    } finally {
      await Promise.all([closed(other), closed(asker), door.close()]);
    }
  });
});

describe('opening the UDP door', { timeout: 60_000 }, () => {
  it('takes system calls where there are any, and says once what is lost without', async () => {
    const lines: string[] = [];
    const parts = { transport, clock: new Clock(), log: logOf(lines) };
    const door = await openUdpDoor(settings({ rules: { limits: LIMITS, state: null, stateAgeMs: 0 } }), parts);
    const socket = await client('127.0.0.1');
    try {
      const { adapter } = await loadSystemCalls();
      assert.equal(door.how, adapter === 'none' ? 'datagrams' : adapter);
      if (adapter === 'none') assert.match(lines.join('\n'), /^UDP goes through the sockets of the runtime: .*several/);
      else assert.deepEqual(lines, []);
      const request = encodeBindingRequest(Buffer.from('twelve bytes'));
      const [answer, from] = await ask(socket, request, '127.0.0.8', door.places[0]!.port);
      assert.equal(parseBindingResponse(answer, 0, answer.length)?.ip, '127.0.0.1');
      assert.equal(from, '127.0.0.8');
    } finally {
      await Promise.all([closed(socket), door.close()]);
    }
  });

  it('has no thread for STUN on loopback alone, and loses nothing that the log would have to tell', async () => {
    const lines: string[] = [];
    for (const [places, isPlain] of [
      [[{ ip: '127.0.0.1', port: 0 }], true],
      [[{ ip: '::', port: 0, isDual: true }], false],
    ] as const) {
      const door = await openUdpDoor(settings({ places }), { transport, clock: new Clock(), log: logOf(lines) });
      const { adapter } = await loadSystemCalls();
      assert.equal(door.how, isPlain || adapter === 'none' ? 'datagrams' : adapter);
      await door.close();
    }
    assert.deepEqual(lines, []);
  });

  it('tells errors of sockets at most once in ten seconds', async () => {
    const lines: string[] = [];
    const clock = new Clock();
    const places = [{ ip: '127.0.0.1', port: 0 }];
    const door = await openUdpDoor(settings({ places }), { transport, clock, log: logOf(lines) });
    assert.ok(door instanceof PlainDoor);
    for (let i = 0; i < 100; i++) door.error(new Error('EPERM'));
    assert.deepEqual(lines, ['reported a UDP socket error: EPERM (from UDP port 0)']);
    clock.tick(clock.now + 10_000);
    assert.equal(lines[1], 'reported 99 UDP socket errors in 10 s: EPERM (last from UDP port 0)');
    door.error(new Error('EPERM'));
    assert.equal(lines.length, 2);
    assert.equal(door.counts[DoorCount.socketErrors], 101);
    await door.close();
    assert.equal(lines.length, 3, 'the end of the door does not lose the last one');
  });

  it('refuses a port that another program has, and names it; or goes on with the others', async () => {
    const other = await client('127.0.0.1');
    const { port } = other.address();
    const places = [
      { ip: '127.0.0.1', port },
      { ip: '127.0.0.1', port: 0 },
    ];
    try {
      const parts = { transport, clock: new Clock() };
      await assert.rejects(openUdpDoor(settings({ places }), { ...parts, log: logOf([]) }), (error) => {
        assert.ok(error instanceof TowpathError);
        assert.equal(error.code, 'TOWPATH_LISTEN_IN_USE');
        assert.match(
          error.message,
          new RegExp(`UDP 127\\.0\\.0\\.1:${port}: .* in use \\(.*process ${process.pid}\\)\\.$`),
        );
        return true;
      });
      const lines: string[] = [];
      const door = await openUdpDoor(settings({ places, skipsTaken: true }), { ...parts, log: logOf(lines) });
      assert.equal(door.places.length, 1);
      assert.match(lines.at(-1)!, /in use .* The UDP door works without it\.$/);
      await door.close();
    } finally {
      await closed(other);
    }
  });
});
