import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bun, type BunUdpSocket } from '../../src/transport/bun/api.ts';
import { createBunTransport } from '../../src/transport/bun/index.ts';
import type { DatagramHandler, DatagramSocket } from '../../src/transport/port.ts';
import { eventually } from './support.ts';

const skip = !('bun' in process.versions);
/** Number of datagrams of the flood. Without a limit, one turn reads all of them; the flood must end so that the test can fail. */
const FLOOD = 50_000;
/** Datagrams of a burst: the default receive buffer of Linux holds a few more of this size. */
const BURST = 200;

/** Two more datagrams are under way before one is read, so that the socket is never empty. */
class Flood implements DatagramHandler {
  readonly errors: Error[] = [];
  readonly #sender: BunUdpSocket;
  left = 0;
  read = 0;
  to = 0;

  constructor(sender: BunUdpSocket) {
    this.#sender = sender;
  }

  datagram(socket: DatagramSocket, buffer: Buffer, from: number, to: number, ip: string, port: number): void {
    this.read += 1;
    socket.send(buffer, from, to, ip, port);
    if (this.left === 0) return;
    this.left -= 1;
    this.send('flood', 2);
  }

  error(error: Error): void {
    this.errors.push(error);
  }

  send(text: string, count: number): void {
    const batch: (string | number)[] = [];
    for (let i = 0; i < count; i++) batch.push(text, this.to, '127.0.0.1');
    this.#sender.sendMany(batch);
  }
}

describe('Bun transport: datagrams without end', { timeout: 60_000, skip }, () => {
  for (const isShared of [false, true]) {
    it(`a turn of the loop ends, and the address lives on (${isShared ? 'shared' : 'alone'})`, async () => {
      let answers = 0;
      const sender = await bun.udpSocket({
        hostname: '127.0.0.1',
        port: 0,
        binaryType: 'buffer',
        socket: {
          data: (_socket, bytes) => {
            if (bytes.toString('latin1') === 'afterwards') answers += 1;
          },
          drain: () => undefined,
          error: () => undefined,
        },
      });
      const flood = new Flood(sender);
      const socket = await createBunTransport().bindDatagram('127.0.0.1', 0, flood, { isShared });
      const { address } = socket;
      flood.to = address.port;
      flood.left = FLOOD;
      flood.send('flood', 8);
      await eventually(() => flood.read > 0, 'the flood begins');
      assert.ok(flood.left > 0, 'the turn ended before the flood did');

      flood.left = 0;
      await eventually(() => {
        flood.send('afterwards', 1);
        return answers > 0;
      }, 'an answer after the flood');
      assert.deepEqual(socket.address, address);
      assert.deepEqual(flood.errors, []);
      await socket.close();
      sender.close();
    });
  }

  it('a burst that the receive buffer held is read in full', async () => {
    const sender = await bun.udpSocket({
      hostname: '127.0.0.1',
      port: 0,
      binaryType: 'buffer',
      socket: { data: () => undefined, drain: () => undefined, error: () => undefined },
    });
    const flood = new Flood(sender);
    const socket = await createBunTransport().bindDatagram('127.0.0.1', 0, flood);
    flood.to = socket.address.port;
    flood.send('burst', BURST);
    await eventually(() => flood.read === BURST, 'the burst');
    await socket.close();
    sender.close();
  });
});
