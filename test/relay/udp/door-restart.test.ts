import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Clock } from '../../../src/base/clock.ts';
import type { GrantedEndpoint, UdpRelayAnswer } from '../../../src/relay/udp/commands.ts';
import type { UdpDoor } from '../../../src/relay/udp/door.ts';
import { openUdpDoor } from '../../../src/relay/udp/open-door.ts';
import type { UdpRelayState } from '../../../src/relay/udp/state.ts';
import { transport } from '../../../src/transport/runtime.ts';
import { freePort } from '../../free-port.ts';
import { data, RelayPeer } from './relay-peer.ts';

const LIMITS = {
  endpoints: 8,
  endpointsPerNode: 8,
  endpointsPerPair: 4,
  allocationsPerMinute: 60,
  bytesPerSecondPerNode: 0,
  totalBytesPerSecond: 0,
  idleSeconds: 60,
};
const WAIT_MS = 1000;
const TRIES = 20;

/** A door on all addresses with the rules of the relay. */
function openDoor(port: number, state: UdpRelayState | null): Promise<UdpDoor> {
  const write = (): void => {};
  return openUdpDoor(
    {
      places: ['0.0.0.0', '::'].map((ip) => ({ ip, port })),
      skipsTaken: false,
      offload: { gro: true, gso: true, neverEqualTail: false },
      stun: { limit: null, generic: null, exempt: [] },
      rules: { limits: LIMITS, state, stateAgeMs: 0 },
      endpoints: LIMITS.endpoints,
    },
    { transport, clock: new Clock(), log: { debug: write, info: write, warn: write, error: write } },
  );
}

/** A client with a socket of one family. */
class Client {
  readonly peer: RelayPeer = new RelayPeer();
  readonly socket: Socket;
  readonly #ip: string;
  readonly #port: number;

  constructor(ip: string, port: number) {
    this.#ip = ip;
    this.#port = port;
    this.socket = createSocket(ip.includes(':') ? 'udp6' : 'udp4');
    this.socket.bind(0, ip);
  }

  send(datagram: Uint8Array): void {
    this.socket.send(datagram, this.#port, this.#ip);
  }

  /** Resolves with the next datagram, or null when none arrives. */
  async next(): Promise<Buffer | null> {
    const signal = AbortSignal.timeout(WAIT_MS);
    const arrival = once(this.socket, 'message', { signal }) as Promise<[Buffer]>;
    return arrival.then(([datagram]) => datagram).catch(() => null);
  }

  async bind(endpoint: GrantedEndpoint, other: Client): Promise<void> {
    for (let i = 0; i < TRIES; i++) {
      const challenged = this.next();
      this.send(this.peer.bind(endpoint, other.peer, i + 1));
      const challenge = await challenged;
      if (challenge === null) continue;
      this.send(this.peer.answer(endpoint, other.peer, challenge));
      return;
    }
    assert.fail('no challenge came');
  }
}

/** Returns whether a datagram gets from one client to the other; the first one may overtake the answer that binds. */
async function passes(from: Client, to: Client, vni: number): Promise<boolean> {
  for (let i = 0; i < TRIES; i++) {
    const datagram = data(vni, 500);
    const arrival = to.next();
    from.send(datagram);
    const came = await arrival;
    if (came !== null) {
      assert.deepEqual(came, datagram);
      return true;
    }
  }
  return false;
}

describe('a UDP door that takes the place of another one', { timeout: 60_000 }, () => {
  for (const [name, ips] of [
    ['IPv6', ['::1', '::1']],
    ['IPv6 and IPv4', ['::1', '127.0.0.1']],
  ] as const) {
    it(`${name}: datagrams pass both ways without a handshake, by real sockets (peer relay §19.6)`, async () => {
      const port = await freePort();
      const [a, b] = [new Client(ips[0], port), new Client(ips[1], port)];
      let door = await openDoor(port, null);
      try {
        const command = (message: object): Promise<UdpRelayAnswer> => door.command(message) as Promise<UdpRelayAnswer>;
        const keys = [a.peer.keys.publicKey, b.peer.keys.publicKey] as const;
        const asked = { kind: 'allocate', id: 1, clientKeys: keys, askingKey: keys[0], node: 'a', otherNode: 'b' };
        const granted = await command(asked);
        assert.ok(granted.kind === 'granted');
        const { endpoint } = granted;
        await a.bind(endpoint, b);
        await b.bind(endpoint, a);
        assert.ok((await passes(a, b, endpoint.vni)) && (await passes(b, a, endpoint.vni)));
        const exported = await command({ kind: 'export', id: 2 });
        assert.ok(exported.kind === 'exported');
        await door.close();
        door = await openDoor(port, exported.state);
        assert.ok((await passes(a, b, endpoint.vni)) && (await passes(b, a, endpoint.vni)));
      } finally {
        for (const { socket } of [a, b]) socket.close();
        await door.close();
      }
    });
  }
});
