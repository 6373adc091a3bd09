import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { suite, test } from 'node:test';
import { connectionName, readSendQueues } from '../../../src/transport/shared/send-queues.ts';
import { CheckResult, SendWatch, type Watched } from '../../../src/transport/shared/send-watch.ts';
import { eventually } from '../support.ts';

const LOCAL = { ip: '127.0.0.1', port: 443 };

class Connection implements Watched {
  readonly local = LOCAL;
  readonly peer: Watched['peer'];
  readonly results: CheckResult[] = [];

  constructor(port: number, ip = '192.0.2.1') {
    this.peer = { ip, port };
  }

  checked(result: CheckResult): void {
    this.results.push(result);
  }
}

suite('the watch of connections that seem to be stuck', () => {
  test('tells those whose peers take bytes from those whose peers do not', async () => {
    let looks = 0;
    const [slow, dead, unknown, fed] = [1, 2, 3, 4].map((port) => new Connection(port)) as [
      Connection,
      Connection,
      Connection,
      Connection,
    ];
    const watch = new SendWatch(() => {
      looks++;
      const queues = [
        [slow, 10_000 - looks],
        [dead, 5000],
        // The kernel accepted more bytes, so it had room.
        [fed, 5000 + looks],
      ] as const;
      return Promise.resolve(new Map(queues.map(([{ local, peer }, bytes]) => [connectionName(local, peer), bytes])));
    });
    for (const connection of [slow, dead, unknown, fed]) watch.watch(connection);
    await eventually(() => slow.results.length >= 2, 'two looks can be compared');
    for (const connection of [slow, dead, unknown, fed]) watch.forget(connection);
    assert.deepEqual(new Set(slow.results), new Set([CheckResult.Moved]));
    assert.deepEqual(new Set(fed.results), new Set([CheckResult.Moved]));
    assert.deepEqual(new Set(dead.results), new Set([CheckResult.Still]));
    assert.deepEqual(new Set(unknown.results), new Set([CheckResult.Unknown]));
  });

  for (const [how, read] of [
    ['says nothing', () => Promise.resolve(null)],
    ['fails', () => Promise.reject(new Error('EMFILE'))],
  ] as const) {
    test(`where the system ${how}, that is what it reports`, async () => {
      const connection = new Connection(1);
      const watch = new SendWatch(read);
      watch.watch(connection);
      await eventually(() => connection.results.length >= 2, 'two looks');
      watch.forget(connection);
      assert.deepEqual(new Set(connection.results), new Set([CheckResult.Unknown]));
    });
  }

  test('stops to look when there is nothing to watch, and begins again', async () => {
    let looks = 0;
    const watch = new SendWatch(() => {
      looks++;
      return Promise.resolve(null);
    });
    const connection = new Connection(1);
    for (let round = 1; round <= 3; round++) {
      watch.watch(connection);
      watch.watch(connection);
      await eventually(() => looks === round, 'a look');
      watch.forget(connection);
    }
    assert.equal(looks, 3);
  });
});

suite('the bytes that wait in the kernel', { skip: process.platform !== 'linux' }, () => {
  for (const [listenOn, connectTo] of [
    ['127.0.0.1', '127.0.0.1'],
    ['::', '127.0.0.1'],
    ['::1', '::1'],
  ] as const) {
    test(`are found for a connection to ${connectTo} of a listener on ${listenOn}`, async () => {
      const server = createServer().listen({ host: listenOn, port: 0 });
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const client = connect({ host: connectTo, port });
      client.pause();
      const [accepted] = (await once(server, 'connection')) as [Socket];
      const local = { ip: connectTo, port };
      const peer = { ip: connectTo, port: accepted.remotePort! };
      const name = connectionName(local, peer);
      assert.equal((await readSendQueues())!.get(name), undefined, 'nothing waits');
      accepted.write(Buffer.alloc(16 * 1024 * 1024));
      let waiting: number | undefined;
      const look = setInterval(() => void readSendQueues().then((queues) => (waiting = queues!.get(name))), 50);
      await eventually(() => (waiting ?? 0) > 100_000, 'what the reader does not take');
      const before = waiting!;
      client.resume();
      await eventually(() => (waiting ?? 0) !== before, 'it takes it');
      clearInterval(look);
      client.destroy();
      accepted.destroy();
      server.close();
      await once(server, 'close');
    });
  }
});
