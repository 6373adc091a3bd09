import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { describe, it } from 'node:test';
import type { DatagramHandler, DatagramSocket, Transport } from '../../src/transport/port.ts';
import { eventually } from './support.ts';

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));

class Inbox implements DatagramHandler {
  readonly got: { text: string; ip: string; port: number }[] = [];
  readonly errors: Error[] = [];
  answers = false;

  datagram(socket: DatagramSocket, buffer: Buffer, from: number, to: number, ip: string, port: number): void {
    this.got.push({ text: buffer.toString('latin1', from, to), ip, port });
    if (this.answers) socket.send(buffer, from, to, ip, port);
  }

  error(error: Error): void {
    this.errors.push(error);
  }
}

/** Tests UDP on both families. */
export function datagramContract(transport: Transport): void {
  describe('datagrams', () => {
    for (const { server, client } of [
      { server: '127.0.0.1', client: '127.0.0.1' },
      { server: '::1', client: '::1' },
      { server: '::', client: '127.0.0.1' },
      { server: '::', client: '::1' },
    ]) {
      it(`a round trip from ${client} to ${server}`, { skip: !hasIpv6 && client === '::1' }, async () => {
        const echo = new Inbox();
        echo.answers = true;
        const inbox = new Inbox();
        const at = await transport.bindDatagram(server, 0, echo);
        const from = await transport.bindDatagram(client, 0, inbox);
        const scratch = Buffer.from('[one][two]');
        assert.ok(from.send(scratch, 0, 5, client, at.address.port));
        scratch.fill('x', 0, 5);
        assert.ok(from.send(scratch, 5, 10, client, at.address.port));
        scratch.fill('x');
        await eventually(() => inbox.got.length === 2, 'both answers');
        assert.deepEqual(
          inbox.got.map(({ text }) => text),
          ['[one]', '[two]'],
        );
        assert.deepEqual(inbox.got[0], { text: '[one]', ip: client, port: at.address.port });
        assert.deepEqual(echo.got[0], { text: '[one]', ip: client, port: from.address.port });
        await from.close();
        await at.close();
        assert.equal(from.send(scratch, 0, 5, client, at.address.port), false);
        assert.deepEqual([...echo.errors, ...inbox.errors], []);
      });
    }

    it('sending where nobody listens, to port 0 or to the other family harms nothing', async () => {
      const inbox = new Inbox();
      const socket = await transport.bindDatagram('127.0.0.1', 0, inbox);
      const gone = await transport.bindDatagram('127.0.0.1', 0, inbox);
      const { port } = gone.address;
      await gone.close();
      const bytes = Buffer.from('hello');
      for (let i = 0; i < 5; i++) socket.send(bytes, 0, 5, '127.0.0.1', port);
      assert.equal(socket.send(bytes, 0, 5, '127.0.0.1', 0), false);
      assert.equal(socket.send(bytes, 0, 5, '::1', port), false);
      assert.ok(socket.send(bytes, 0, 5, '127.0.0.1', socket.address.port));
      await eventually(() => inbox.got.length === 1, 'the socket still works');
      await socket.close();
      await socket.close();
    });

    it('a descriptor that is no datagram socket is said so', async () => {
      await assert.rejects(transport.bindDatagram('127.0.0.1', 1, new Inbox(), { fd: 987_654 }), {
        code: 'TOWPATH_LISTEN_FD',
      });
    });

    it('a port in use is said in one sentence', async () => {
      const socket = await transport.bindDatagram('127.0.0.1', 0, new Inbox());
      await assert.rejects(transport.bindDatagram('127.0.0.1', socket.address.port, new Inbox()), {
        code: 'TOWPATH_LISTEN_IN_USE',
      });
      await socket.close();
    });
  });
}
