import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { Clock } from '../../src/base/clock.ts';
import { connectDerp } from '../../src/client/connect.ts';
import type { AllocateResponse } from '../../src/wire/disco-messages.ts';
import { transport } from '../../src/transport/runtime.ts';
import { BUN, needsBun } from '../bun/installed.ts';
import { freePort } from '../free-port.ts';
import { RelayNodeClient } from '../service/peer-relay/relay-node-client.ts';
import { firstFrame, keysOfRelay, TRIES } from '../service/peer-relay/relay-world.ts';
import { within } from '../service/support.ts';
import { FakeControl } from '../tailnet/fake-control.ts';
import { handleFd, portOf, tcpServer } from './held-sockets.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');
/** Longest wait, in milliseconds: the machine runs other tests at the same time. */
const WAIT_MS = 40_000;
// Only Node gives access to the descriptors of its sockets. The relay that gets them runs on both runtimes.
const skip = 'bun' in process.versions ? 'needs Node to open the sockets' : false;

for (const [name, program] of Object.entries({ Node: process.execPath, Bun: BUN })) {
  const reason = program === null ? needsBun.skip : skip;
  describe(`SIGUSR2 to a peer relay on ${name}`, { skip: reason, timeout: 120_000 }, () => {
    it('starts the next process, which takes its endpoints over when it has ended', async (t) => {
      const folder = mkdtempSync(path.join(tmpdir(), 'towpath-peer-relay-'));
      const control = await FakeControl.start();
      const [a, b] = [new RelayNodeClient(1), new RelayNodeClient(2)];
      for (const node of [a, b]) await node.move();
      control.behaviour.streamed = (stream) => stream.send(firstFrame(String(stream.request['NodeKey']), a, b));
      const derp = await tcpServer();
      const derpPort = portOf(derp);
      const config = path.join(folder, 'towpath.yaml');
      writeFileSync(
        config,
        JSON.stringify({
          transport: 'plain',
          hostname: '127.0.0.1',
          keyFile: path.join(folder, 'derper.key'),
          drain: { seconds: 1 },
          log: { level: 'info' },
          peerRelay: {
            ports: [await freePort()],
            advertise: { addresses: ['127.0.0.1'], only: true },
            stateDirectory: folder,
            tailnets: [{ name: 'home', controlUrl: control.url, hostname: 'relay' }],
          },
        }),
      );
      const off = ['--http', 'off', '--stun', 'off', '--admin', 'off', '--no-self-test'];
      const command = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=derp exec "$@"';
      const child = spawn('sh', ['-c', command, 'sh', program!, MAIN, 'serve', '--config', config, ...off], {
        stdio: ['ignore', 'pipe', 'pipe', handleFd(derp)],
      });
      derp.close();
      const ended = once(child, 'close');
      const exit = once(child, 'exit');
      const clock = new Clock();
      clock.start();
      let output = '';
      let nextPid = 0;
      t.after(async () => {
        child.kill('SIGKILL');
        if (nextPid !== 0) process.kill(nextPid, 'SIGKILL');
        for (const node of [a, b]) {
          node.derp?.abort();
          node.close();
        }
        await ended;
        await control.stop();
        clock.stop();
        rmSync(folder, { recursive: true });
      });
      for (const stream of [child.stdout, child.stderr])
        stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
      const prints = (what: RegExp): Promise<RegExpExecArray> =>
        within(
          new Promise((resolve) => {
            const look = (): void => {
              const found = what.exec(output);
              if (found !== null) resolve(found);
            };
            for (const stream of [child.stdout, child.stderr]) stream?.on('data', look);
            look();
          }),
          String(what),
          WAIT_MS,
        );
      const connect = async (): Promise<void> => {
        for (const node of [a, b])
          node.derp = await connectDerp({
            ...{ transport, clock, keys: node.nodeKeys, timeoutMs: WAIT_MS },
            url: `http://127.0.0.1:${derpPort}/derp`,
            handler: { packet: node.packet.bind(node) },
          });
      };
      const allocate = async (): Promise<AllocateResponse> => {
        const response = await a.allocate(b, keysOfRelay(control), 20);
        assert.ok(response !== undefined, output);
        return response;
      };

      await prints(/"msg":"the peer relay listens"[^]*"msg":"ready"/);
      await connect();
      const { endpoint } = await allocate();
      a.use(endpoint, b);
      b.use(endpoint, a);
      let isBound = false;
      for (let i = 0; i < TRIES && !isBound; i++) {
        await Promise.all([a.bind(), b.bind()]);
        isBound = await a.ping();
      }
      assert.ok(isBound, output);

      child.kill('SIGUSR2');
      const [, pid = '0'] = await prints(/"pid":(\d+),"msg":"this process accepts/);
      nextPid = Number(pid);
      assert.deepEqual(await within(exit, 'the end of the previous process', WAIT_MS), [0, null]);
      await prints(
        /the previous one ends"[^]*"endpoints":1,"before":1,"msg":"the peer relay listens"[^]*"msg":"ready"/,
      );
      assert.ok((await a.ping(5000)) && (await b.ping(5000)), `no handshake is needed\n${output}`);
      await connect();
      assert.equal((await allocate()).endpoint.vni, endpoint.vni);
    });
  });
}
