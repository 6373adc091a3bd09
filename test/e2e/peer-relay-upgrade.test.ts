import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AllocateResponse } from '../../src/wire/disco-messages.ts';
import { BUN, needsBun } from '../bun/installed.ts';
import { freePort } from '../free-port.ts';
import { RelayNodeClient } from '../service/peer-relay/relay-node-client.ts';
import { bindBoth, firstFrame, keysOfRelay } from '../service/peer-relay/relay-world.ts';
import { FakeControl } from '../tailnet/fake-control.ts';
import { InheritingRelay } from './inheriting-relay.ts';

// Only Node gives access to the descriptors of its sockets. The relay that gets them runs on both runtimes.
const skip = 'bun' in process.versions ? 'needs Node to open the sockets' : false;

for (const [name, program] of Object.entries({ Node: process.execPath, Bun: BUN })) {
  const reason = program === null ? needsBun.skip : skip;
  describe(`SIGUSR2 to a peer relay on ${name}`, { skip: reason, timeout: 120_000 }, () => {
    it('starts the next process, which takes its endpoints over when it has ended', async (t) => {
      const control = await FakeControl.start();
      const [a, b] = [new RelayNodeClient(1), new RelayNodeClient(2)];
      for (const node of [a, b]) await node.move();
      control.behaviour.streamed = (stream) => stream.send(firstFrame(String(stream.request['NodeKey']), a, b));
      const relay = new InheritingRelay(program!);
      t.after(async () => {
        for (const node of [a, b]) node.close();
        await relay.clean();
        await control.stop();
      });
      const connect = async (): Promise<void> => {
        for (const node of [a, b])
          node.derp = await relay.client({ keys: node.nodeKeys, handler: { packet: node.packet.bind(node) } });
      };
      const allocate = async (): Promise<AllocateResponse> => {
        const response = await a.allocate(b, keysOfRelay(control), 20);
        assert.ok(response !== undefined);
        return response;
      };

      await relay.start({
        drain: { seconds: 1 },
        peerRelay: {
          ports: [await freePort()],
          advertise: { addresses: ['127.0.0.1'], only: true },
          stateDirectory: relay.folder,
          tailnets: [{ name: 'home', controlUrl: control.url, hostname: 'relay' }],
        },
      });
      await relay.prints(/"msg":"the peer relay listens"[^]*"msg":"ready"/);
      await connect();
      const { endpoint } = await allocate();
      a.use(endpoint, b);
      b.use(endpoint, a);
      assert.ok(await bindBoth(a, b), 'no ping came through');

      await relay.replace();
      await relay.prints(
        /the previous one ends"[^]*"endpoints":1,"before":1,"msg":"the peer relay listens"[^]*"msg":"ready"/,
      );
      assert.ok((await a.ping(5000)) && (await b.ping(5000)), 'no handshake is needed');
      await connect();
      assert.equal((await allocate()).endpoint.vni, endpoint.vni);
    });
  });
}
