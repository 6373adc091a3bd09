import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { afterEach, describe, it } from 'node:test';
import { Clock } from '../../../src/base/clock.ts';
import { AddressSockets } from '../../../src/relay/udp/address-sockets.ts';
import type { UdpDoor } from '../../../src/relay/udp/door.ts';
import { makeRelayRules } from '../../../src/relay/udp/make-rules.ts';
import { PlainDoor } from '../../../src/relay/udp/plain-door.ts';
import { transport } from '../../../src/transport/runtime.ts';
import { within } from '../../service/support.ts';
import { askStun } from './stun-client.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function openDoor(ip: string, port: number, missing: string[][] = []): Promise<UdpDoor> {
  const nothing = (): void => undefined;
  return PlainDoor.open(
    {
      places: [{ ip, port }],
      skipsTaken: false,
      offload: { gro: false, gso: false, neverEqualTail: false },
      stun: { limit: null, generic: null, exempt: [] },
      rules: null,
      endpoints: 0,
    },
    {
      transport,
      clock: new Clock(),
      makeRules: makeRelayRules,
      log: { debug: nothing, info: nothing, warn: nothing },
      listener: {
        ...{ skipped: nothing, lost: nothing, reopened: nothing, crashed: nothing },
        missing: (addresses) => missing.push([...addresses]),
      },
    },
  );
}

async function stunServer(ip: string): Promise<{ port: number; missing: string[][] }> {
  const missing: string[][] = [];
  const door = await openDoor(ip, 0, missing);
  closing.push(() => door.close());
  assert.equal(door.places.length, 1, 'what is configured, and not each socket');
  return { port: door.places[0]!.port, missing };
}

describe('a door without system calls on all addresses', { skip: process.platform !== 'linux' }, () => {
  for (const [all, asked] of [
    ['::', ['127.0.0.1', '127.0.0.2', '127.0.0.16', '127.0.1.1', '::1']],
    ['0.0.0.0', ['127.0.0.1', '127.0.0.2', '127.0.0.16', '127.0.1.1']],
  ] as const) {
    it(`answers from the address that was asked: ${all}`, async () => {
      const { port, missing } = await stunServer(all);
      for (const ip of asked) await askStun(ip, port);
      assert.deepEqual(missing, []);
    });
  }

  it('takes the port for itself: another server is refused, and both can be had one after the other', async () => {
    const { port } = await stunServer('::');
    await assert.rejects(openDoor('::', port), { code: 'TOWPATH_LISTEN_IN_USE' });
    await assert.rejects(openDoor('0.0.0.0', port), { code: 'TOWPATH_LISTEN_IN_USE' });
    await closing.pop()!();
    const second = await openDoor('::', port);
    closing.push(() => second.close());
    await askStun('127.0.0.2', port);
  });
});

describe('the addresses of the machine', { skip: process.platform !== 'linux' }, () => {
  interface Following {
    readonly sockets: AddressSockets;
    readonly heard: string[];
    readonly missing: string[];
    readonly clock: Clock;
    addresses: Set<string>;
    /** Sends a datagram there and resolves with the socket at which it arrives. */
    readonly at: (ip: string) => Promise<string>;
  }

  async function follow(...initial: string[]): Promise<Following> {
    const clock = new Clock();
    const missing: string[] = [];
    let told: (at: string) => void = () => undefined;
    const following = {
      clock,
      missing,
      heard: [],
      addresses: new Set(initial),
      at: (ip: string) =>
        within(
          new Promise<string>((resolve) => {
            told = resolve;
            sender.send('x', sockets.address.port, ip);
          }),
          'the datagram',
        ),
    };
    const sockets = await AddressSockets.open(
      {
        transport,
        clock,
        handler: { datagram: (socket) => told(socket.address.ip), error: () => undefined },
        onMissing: (addresses, reason) => missing.push(`${addresses.join(' ')}: ${reason}`),
        addresses: () => {
          if (following.addresses.size === 0) throw new Error('no netlink');
          return following.addresses;
        },
      },
      { ip: '0.0.0.0', port: 0 },
    );
    const sender = createSocket('udp4');
    closing.push(async () => {
      sender.close();
      await sockets.close();
    });
    return { ...following, sockets };
  }

  it('are followed: one that is added gets a socket, one that is gone loses it', async () => {
    const { sockets, addresses, at } = await follow('127.0.0.1', '127.0.0.2');
    assert.equal(await at('127.0.0.2'), '127.0.0.2');
    assert.equal(await at('127.0.0.3'), '0.0.0.0', 'answered all the same');
    addresses.add('127.0.0.3');
    addresses.delete('127.0.0.2');
    await sockets.check();
    assert.equal(await at('127.0.0.3'), '127.0.0.3');
    assert.equal(await at('127.0.0.2'), '0.0.0.0');
    assert.equal(await at('127.0.0.1'), '127.0.0.1');
  });

  it('are looked at as time passes, and soon after an error', async () => {
    const { sockets, addresses, at, clock } = await follow('127.0.0.1');
    for (const [ip, waitMs] of [
      ['127.0.0.4', 5100],
      ['127.0.0.5', 1100],
    ] as const) {
      addresses.add(ip);
      if (ip === '127.0.0.5') sockets.suspect();
      clock.tick(clock.now + waitMs);
      const startedAt = performance.now();
      while ((await at(ip)) !== ip && performance.now() - startedAt < 10_000)
        await new Promise((resolve) => setImmediate(resolve));
      assert.equal(await at(ip), ip);
    }
  });

  it('that cannot be bound are told once, until that changes', async () => {
    const { sockets, addresses, at, missing } = await follow('127.0.0.1', '203.0.113.77');
    assert.equal(missing.length, 1);
    assert.match(missing[0]!, /^203\.0\.113\.77: .*does not have that address/);
    await sockets.check();
    assert.equal(missing.length, 1);
    addresses.delete('203.0.113.77');
    await sockets.check();
    addresses.add('203.0.113.77');
    await sockets.check();
    assert.equal(missing.length, 2);
    assert.equal(await at('127.0.0.1'), '127.0.0.1');
  });

  it('are bounded, and it is no end when the system does not tell them', async () => {
    const many = Array.from({ length: 300 }, (_, i) => `127.1.${i >> 8}.${(i & 255) + 1}`.replace('.256', '.255'));
    const { missing, at } = await follow(...many);
    assert.match(missing[0]!, /more than 256 addresses/);
    assert.equal(await at(many[0]!), many[0]);
    const unknown = await follow();
    assert.match(unknown.missing[0]!, /^all: .*no netlink/);
    assert.equal(await unknown.at('127.0.0.1'), '0.0.0.0');
  });
});
