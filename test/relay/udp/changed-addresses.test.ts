import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Clock } from '../../../src/base/clock.ts';
import { PlainDoor } from '../../../src/relay/udp/plain-door.ts';
import { transport } from '../../../src/transport/runtime.ts';
import { bindMessage, makeForwarder, payload } from './forwarder.ts';

const WAIT_MS = 1000;
const TRIES = 20;
/** Longer than the time between two checks of the machine's addresses. */
const CHECK_MS = 6000;
const ASKED = '127.0.0.2';

/** Returns a socket that gets datagrams only from {@link ASKED}. */
async function client(port: number): Promise<Socket> {
  const socket = createSocket('udp4');
  const connected = once(socket, 'connect');
  socket.connect(port, ASKED);
  await connected;
  return socket;
}

/** Sends a datagram until one arrives at `to`; returns whether one does. */
async function passes(from: Socket, to: Socket, datagram: Buffer, between: () => void = () => {}): Promise<boolean> {
  for (let i = 0; i < TRIES; i++) {
    between();
    const arrival = once(to, 'message', { signal: AbortSignal.timeout(WAIT_MS) }).catch(() => null);
    from.send(datagram);
    if ((await arrival) !== null) return true;
  }
  return false;
}

describe('a door without system calls', { skip: process.platform !== 'linux', timeout: 60_000 }, () => {
  it('forwards without a new handshake when an address of the machine goes and comes back', async (t) => {
    const addresses = new Set(['127.0.0.1', ASKED]);
    const clock = new Clock();
    let time = performance.now();
    const check = (): void => clock.tick((time += CHECK_MS));
    const nothing = (): void => {};
    const door = await PlainDoor.open(
      {
        places: [{ ip: '0.0.0.0', port: 0 }],
        skipsTaken: false,
        offload: { gro: false, gso: false, neverEqualTail: false },
        stun: { limit: null, generic: null, exempt: [] },
        rules: null,
        endpoints: 4,
      },
      {
        ...{ transport, clock, makeRules: makeForwarder, addresses: () => new Set(addresses) },
        log: { debug: nothing, info: nothing, warn: nothing },
        listener: { missing: nothing, skipped: nothing, lost: nothing, reopened: nothing, crashed: nothing },
      },
    );
    t.after(() => door.close());
    const { port } = door.places[0]!;
    const [a, b] = [await client(port), await client(port)];
    t.after(() => [a, b].forEach((socket) => socket.close()));
    assert.ok(await passes(a, a, bindMessage(1, 0)));
    assert.ok(await passes(b, b, bindMessage(1, 1)));
    assert.ok(await passes(a, b, payload(1, Buffer.alloc(100))));
    addresses.delete(ASKED);
    check();
    addresses.add(ASKED);
    assert.ok(await passes(a, b, payload(1, Buffer.alloc(100)), check));
    assert.ok(await passes(b, a, payload(1, Buffer.alloc(100))));
  });
});
