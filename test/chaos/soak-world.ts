import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { connectDerp } from '../../src/client/connect.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import type { DerpClientOptions } from '../../src/client/options.ts';
import type { Clock } from '../../src/base/clock.ts';
import { transport } from '../../src/transport/runtime.ts';
import { within } from '../service/support.ts';
import type { Ledger } from './soak-ledger.ts';
import type { SoakRelay } from './soak-relay.ts';

/** Longest wait even on a busy machine, in milliseconds. */
export const PATIENCE_MS = 30_000;

const UPGRADE = 'GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n';

/** Connects the clients of the test to the relay, and records every connection. */
export class World {
  readonly relay: SoakRelay;
  readonly ledger: Ledger;
  readonly #clock: Clock;

  constructor(relay: SoakRelay, ledger: Ledger, clock: Clock) {
    this.relay = relay;
    this.ledger = ledger;
    this.#clock = clock;
  }

  /** Connects a DERP client; resolves after its handshake. */
  async client(options: Partial<DerpClientOptions> = {}): Promise<DerpClient> {
    this.ledger.tcp++;
    const client = await connectDerp({
      transport,
      clock: this.#clock,
      url: `https://127.0.0.1:${this.relay.port}/derp`,
      verify: { kind: 'none' },
      timeoutMs: PATIENCE_MS,
      ...options,
    });
    this.ledger.upgrades++;
    return client;
  }

  /** Sends a packet and records it. */
  send(from: DerpClient, to: Uint8Array, packet: Uint8Array): boolean {
    const taken = from.send(to, packet);
    if (taken) this.ledger.packets++;
    return taken;
  }

  async tcp(): Promise<Socket> {
    this.ledger.tcp++;
    const socket = connectTcp({ port: this.relay.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => undefined);
    await within(once(socket, 'connect'), 'TCP', PATIENCE_MS);
    return socket;
  }

  async tls(): Promise<RawPeer> {
    const tcp = await this.tcp();
    const tls = connectTls({ socket: tcp, rejectUnauthorized: false });
    tls.on('error', () => undefined);
    await within(once(tls, 'secureConnect'), 'TLS', PATIENCE_MS);
    return { tcp, tls };
  }

  /** Opens a connection, upgrades it to DERP and reads the greeting. */
  async upgraded(): Promise<RawPeer> {
    const peer = await this.tls();
    peer.tls.write(UPGRADE);
    await within(once(peer.tls, 'data'), 'the greeting', PATIENCE_MS);
    this.ledger.upgrades++;
    return peer;
  }
}

/** A TLS connection and its TCP socket, for a reset. */
export interface RawPeer {
  readonly tcp: Socket;
  readonly tls: TLSSocket;
}

/** Waits until the relay has ended the connection, and closes this side. */
export async function untilEnded(socket: Socket): Promise<void> {
  try {
    socket.resume();
    if (!socket.destroyed && !socket.readableEnded) {
      await within(
        new Promise<void>((resolve) => {
          socket.once('end', resolve).once('close', () => resolve());
        }),
        'the end of a connection that misbehaved',
        PATIENCE_MS,
      );
    }
  } finally {
    socket.destroy();
  }
}

/** Waits `ms` milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
