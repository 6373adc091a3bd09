import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'node:test';
import type { Transport } from '../../src/transport/port.ts';
import { eventually, Recorder, serve, Serving, tcpPeer } from './support.ts';

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));

/** Tests listening addresses, their errors and their end. */
export function listenContract(transport: Transport): void {
  describe('listening', () => {
    it(':: takes both families and shows IPv4 peers as IPv4', { skip: !hasIpv6 }, async () => {
      const serving = await serve(transport, null, { ip: '::' });
      const v4 = await tcpPeer(serving.port);
      const v6 = await tcpPeer(serving.port, { host: '::1' });
      await eventually(() => serving.streams.length === 2, 'both opened');
      assert.deepEqual(
        serving.streams.map(({ remote }) => remote.ip),
        ['127.0.0.1', '::1'],
      );
      assert.deepEqual(
        serving.streams.map(({ local }) => local.ip),
        ['127.0.0.1', '::1'],
      );
      v4.destroy();
      v6.destroy();
      await serving.stop();
    });

    it('a port in use is said in one sentence with a hint', async () => {
      const serving = await serve(transport, null);
      await assert.rejects(
        serve(transport, null, { port: serving.port }),
        (error: Error & { code?: string; hint?: string }) => {
          assert.equal(error.code, 'TOWPATH_LISTEN_IN_USE');
          assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${serving.port}.* in use\\.$`));
          assert.match(error.hint ?? '', /ss -lntup/);
          return true;
        },
      );
      await serving.stop();
    });

    it('an address of another machine is said so', async () => {
      await assert.rejects(serve(transport, null, { ip: '192.0.2.1' }), { code: 'TOWPATH_LISTEN_ADDRESS' });
    });

    it('reusePort lets two listeners share a port', async () => {
      const first = await serve(transport, null, { reusePort: true });
      const second = await serve(transport, null, { reusePort: true, port: first.port });
      assert.equal(second.port, first.port);
      await second.stop();
      await first.stop();
    });

    it('close() frees the port at once; streams live on', async () => {
      const serving = await serve(transport, null);
      const peer = await tcpPeer(serving.port);
      const { end } = await serving.stream();
      await serving.listener.close();
      await serving.listener.close();
      const next = await serve(transport, null, { port: serving.port });
      peer.write('still here');
      await eventually(() => end.text() === 'still here', 'bytes after close');
      peer.destroy();
      await next.stop();
      await serving.stop();
    });

    it('a plain connection refused in accepted() is reset', async () => {
      const serving = await serve(transport, null);
      serving.admit = false;
      const peer = await tcpPeer(serving.port);
      await eventually(() => peer.destroyed, 'reset');
      assert.equal(serving.streams.length, 0);
      await serving.stop();
    });

    it('an inherited descriptor is listened on', async () => {
      // The descriptor goes to another process because one event loop cannot watch it twice.
      const parent = createServer();
      parent.listen(0, '127.0.0.1');
      await once(parent, 'listening');
      const address = parent.address();
      assert.ok(address !== null && typeof address === 'object');
      const handle: unknown = Reflect.get(parent, '_handle');
      const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
      if (typeof fd !== 'number' || fd < 0) {
        parent.close();
        return;
      }
      const program = fileURLToPath(new URL('inherited-descriptor.ts', import.meta.url));
      const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit', fd] });
      await Promise.race([once(child.stdout!, 'data'), once(child, 'exit')]);
      parent.close();
      assert.equal(child.exitCode, null, 'the child listens');
      const end = new Recorder();
      const { stream } = await transport.connect(
        { host: '127.0.0.1', port: address.port, tls: null, timeoutMs: 2000 },
        end,
      );
      await eventually(() => end.text() === `port ${address.port}`, 'greeting of the child');
      stream.abort();
      child.kill();
      await once(child, 'exit');
    });

    it('a descriptor that is no listening socket is said so', async () => {
      const options = { ip: '127.0.0.1', port: 1, tls: null, fd: 987_654 };
      await assert.rejects(transport.listen(options, new Serving()), { code: 'TOWPATH_LISTEN_FD' });
    });
  });
}
