import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { suite, test } from 'node:test';
import { ask } from '../http/http-client.ts';
import { TestRelay } from './support.ts';

/** More connections than the admin listener keeps open. */
const FLOOD = 600;

/** Opens connections that send nothing, and a new one for each that ends. Returns a function that ends them. */
function flood(port: number): { readonly opened: () => number; readonly stop: () => void } {
  const sockets = new Set<Socket>();
  let isOver = false;
  let opened = 0;
  const open = (): void => {
    const socket = connect(port, '127.0.0.1', () => opened++);
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      if (!isOver) open();
    });
  };
  for (let i = 0; i < FLOOD; i++) open();
  const stop = (): void => {
    isOver = true;
    for (const socket of sockets) socket.destroy();
  };
  return { opened: () => opened, stop };
}

suite('the admin listener in a flood of idle connections from loopback', { timeout: 60_000 }, () => {
  test('answers an operator, and who watches goes on watching', async () => {
    const relay = await TestRelay.start();
    const port = relay.relay.addresses.admin!.port;
    const watched = request({ host: '127.0.0.1', port, path: '/api/v1/events', agent: false });
    watched.end();
    const [events] = (await once(watched, 'response')) as [IncomingMessage];
    let ended = false;
    events.on('error', () => (ended = true)).on('close', () => (ended = true));
    const { opened, stop } = flood(port);
    try {
      await relay.until(() => opened() > FLOOD + 300, 'idle connections give way to others');
      for (let i = 0; i < 5; i++) {
        assert.equal((await ask(port, '/healthz')).status, 200);
        assert.equal((await ask(port, '/api/v1/status')).status, 200);
      }
      assert.ok(relay.relay.counters.refusals.connection_limit > 0, 'it was full');
      await once(events, 'data');
      assert.equal(ended, false);
    } finally {
      stop();
      watched.destroy();
      await relay.stop();
    }
  });
});
