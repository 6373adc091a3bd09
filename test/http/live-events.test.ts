import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite, test } from 'node:test';
import { Clock } from '../../src/base/clock.ts';
import { LiveEventStreams, MOST_VIEWERS } from '../../src/http/api/events.ts';
import type { AdminApi } from '../../src/http/api/port.ts';

const STATUS_BYTES = 1_000_000;

/** A clock that ticks when the test says so. */
class ToldClock extends Clock {
  #at = 1000;
  readonly #told = new Set<(now: number) => void>();

  override get now(): number {
    return this.#at;
  }

  override onTick(listener: (now: number) => void): () => void {
    this.#told.add(listener);
    return () => this.#told.delete(listener);
  }

  /** Advances by a second; returns the number of listeners. */
  passSecond(): number {
    this.#at += 1000;
    for (const listener of this.#told) listener(this.#at);
    return this.#told.size;
  }
}

/** Streams of one clock behind a real listener, and the responses that it has opened or refused. */
async function start(clock: Clock) {
  const api = { status: () => 'x'.repeat(STATUS_BYTES) } as unknown as AdminApi;
  const streams = new LiveEventStreams(api, clock);
  const opened: ServerResponse[] = [];
  const refused: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    if (streams.open(response, null)) opened.push(response);
    else refused.push(response.writeHead(503).end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const view = async () => {
    const count = opened.length + refused.length;
    const socket = connect(port, '127.0.0.1').pause();
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    while (opened.length + refused.length === count) await sleep(5);
    return socket;
  };
  const stop = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { opened, refused, view, stop };
}

suite('live events', { timeout: 60_000 }, () => {
  test('a viewer that never reads costs two events of memory at most, and is ended', async () => {
    const clock = new ToldClock();
    const { opened, view, stop } = await start(clock);
    try {
      const socket = await view();
      const response = opened[0]!;
      let most = 0;
      for (let i = 0; i < 120 && !response.destroyed; i++) {
        clock.passSecond();
        most = Math.max(most, response.writableLength);
        await sleep(2);
      }
      assert.ok(response.destroyed, 'it is ended');
      assert.ok(most < 2.1 * STATUS_BYTES, `${most} bytes wait for it`);
      assert.equal(clock.passSecond(), 0, 'nobody looking costs nothing');
      socket.destroy();
    } finally {
      stop();
    }
  });

  test('the number of viewers is limited, and who leaves makes room', async () => {
    const { opened, refused, view, stop } = await start(new ToldClock());
    try {
      const sockets = [];
      for (let i = 0; i < MOST_VIEWERS; i++) sockets.push(await view());
      (await view()).destroy();
      assert.deepEqual([opened.length, refused.length], [MOST_VIEWERS, 1]);
      sockets[0]!.destroy();
      await once(opened[0]!, 'close');
      sockets.push(await view());
      assert.equal(opened.length, MOST_VIEWERS + 1);
      for (const socket of sockets) socket.destroy();
    } finally {
      stop();
    }
  });
});
