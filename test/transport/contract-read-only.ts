import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import { describe, it } from 'node:test';
import type { DerpClient } from '../../src/client/derp-client.ts';
import type { ListenerHandler, Stream, StreamHandler, Transport } from '../../src/transport/port.ts';
import { TestRelay } from '../service/support.ts';
import { eventually } from './support.ts';

/** Tests that relay and client do not change or keep read buffers, for any input. */
export function readOnlyContract(transport: Transport): void {
  describe('read buffers', () => {
    for (const kind of ['DERP', 'WebSocket'] as const) {
      it(`are neither written into nor kept by relay and client over ${kind}`, async () => {
        const guard = new ReadGuard(transport);
        const relay = await TestRelay.start({}, guard.transport);
        try {
          const options = { transport: guard.transport, websocket: kind === 'WebSocket' };
          const [a, b] = [await relay.client(options), await relay.client(options)];
          await exchange(a, b);
          await exchange(b, a);
          await a.ping(5000);
          await httpRequests(relay.relay.addresses.http[0]!.port);
          assert.ok(guard.reads > 10, `${guard.reads} reads were looked at`);
          assert.deepEqual(guard.faults, []);
        } finally {
          await relay.stop();
        }
      });
    }
  });
}

/** Packets of many sizes: in one read, in several, and many in one. */
async function exchange(from: DerpClient, to: DerpClient): Promise<void> {
  const disco = Buffer.concat([Buffer.from('5453f09f92ac', 'hex'), Buffer.alloc(100, 1)]);
  const packets = [disco, ...[0, 1, 1200, 16_384, 65_536, 900, 30_000].map((size) => Buffer.alloc(size, size % 251))];
  const got: Buffer[] = [];
  to.handler = {
    packet: (source, buffer, start, end) => {
      assert.deepEqual(source, from.publicKey);
      got.push(Buffer.from(buffer.subarray(start, end)));
    },
  };
  for (const packet of packets) {
    while (!from.send(to.publicKey, packet)) await new Promise((resolve) => setImmediate(resolve));
  }
  await eventually(() => got.length === packets.length, 'all packets arrive');
  for (const packet of packets) assert.ok(got.some((one) => one.equals(packet)));
}

/** Two requests on one connection: the HTTP server reads the second one from the stream. */
async function httpRequests(port: number): Promise<void> {
  for (const path of ['/generate_204', '/derp/latency-check']) {
    const [response] = (await once(get({ host: '127.0.0.1', port, path }), 'response')) as [
      { statusCode: number; resume: () => void },
    ];
    response.resume();
    assert.ok(response.statusCode < 400, `${path}: ${response.statusCode}`);
  }
}

/** A transport that checks each read buffer after the call of its handler, and then overwrites it. */
class ReadGuard {
  readonly transport: Transport;
  readonly faults: string[] = [];
  reads = 0;
  #isReading = false;

  constructor(transport: Transport) {
    this.transport = {
      ...transport,
      listen: (options, handler) => transport.listen(options, this.#listener(handler)),
      connect: async (options, handler) => {
        const connected = await transport.connect(options, this.#handler(handler));
        this.#guard(connected.stream);
        return connected;
      },
    };
  }

  #listener(handler: ListenerHandler): ListenerHandler {
    return {
      accepted: (remote) => {
        const connection = handler.accepted(remote);
        const opened = connection?.opened.bind(connection);
        if (connection === null || opened === undefined) return null;
        connection.opened = (stream) => {
          this.#guard(stream);
          return opened(stream);
        };
        return connection;
      },
      refused: (reason, remote, detail) => handler.refused(reason, remote, detail),
      error: (error) => handler.error(error),
    };
  }

  /** Checks each later handler of `stream`, too. */
  #guard(stream: Stream): void {
    let { handler } = stream;
    Object.defineProperty(stream, 'handler', {
      get: () => handler,
      set: (next: StreamHandler) => (handler = this.#handler(next)),
    });
  }

  #handler(handler: StreamHandler): StreamHandler {
    return {
      bytes: (stream, buffer, from, to) => {
        if (this.#isReading) {
          // A handler may give the rest of its read to the next handler: the bytes are checked when the first one returns.
          handler.bytes(stream, buffer, from, to);
          return;
        }
        const before = Buffer.from(buffer.subarray(from, to));
        this.#isReading = true;
        handler.bytes(stream, buffer, from, to);
        this.#isReading = false;
        this.reads++;
        if (!before.equals(buffer.subarray(from, to))) this.faults.push(`${to - from} bytes were changed`);
        buffer.fill(0x5a, from, to);
      },
      writable: (stream) => handler.writable(stream),
      closed: (stream, reason) => handler.closed(stream, reason),
    };
  }
}
