import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { Agent, request, type RequestOptions } from 'node:https';
import { before, describe, it } from 'node:test';
import { WebSocket, WebSocketServer } from 'real-ws';
import { streamToDuplex } from '../../src/transport/shared/duplex.ts';
import type { StreamHandler, Transport } from '../../src/transport/port.ts';
import { makeCertificate, type TestCertificate } from './certificates.ts';
import { eventually, quiet, type Recorder, securePeer, serve, type Serving } from './support.ts';

const BODY_BYTES = 5_000_000;
const NOTHING = Buffer.alloc(0);

/** Tests that `node:http` and `ws` work on a wrapped stream. */
export function duplexContract(transport: Transport): void {
  let certificate: TestCertificate;
  before(() => {
    certificate = makeCertificate(['relay.test']);
  });

  const serveHttp = async (listener: RequestListener): Promise<{ serving: Serving; server: Server }> => {
    const serving = await serve(transport, certificate);
    const server = createServer(listener);
    serving.onOpened = (stream, end) => {
      server.emit('connection', streamToDuplex(stream, NOTHING));
      return tellBoth(stream.handler, end);
    };
    return { serving, server };
  };

  // Bun's node:http has neither for a server that gets its connections from outside; src/http has its own deadlines.
  const needsNodeHttp = { skip: transport.runtime === 'bun' };

  describe('a stream as a Duplex for HTTP', () => {
    it('serves keep-alive requests with 5 MB each way on one connection', async () => {
      const seen: string[] = [];
      const { serving } = await serveHttp((incoming, response) => {
        const { socket } = incoming;
        seen.push(`${socket.remoteAddress ?? ''} ${String('encrypted' in socket && socket.encrypted)}`);
        const hash = createHash('sha256');
        incoming.on('data', (chunk: Buffer) => hash.update(chunk));
        incoming.on('end', () => {
          response.setHeader('x-digest', hash.digest('hex'));
          response.end(Buffer.alloc(BODY_BYTES, seen.length));
        });
      });
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      for (let round = 1; round <= 3; round++) {
        const body = Buffer.alloc(BODY_BYTES, 0x40 + round);
        const answer = await fetchBody(serving.port, { agent, method: 'POST' }, body);
        assert.equal(answer.status, 200);
        assert.equal(answer.headers['x-digest'], createHash('sha256').update(body).digest('hex'));
        assert.ok(answer.body.equals(Buffer.alloc(BODY_BYTES, round)));
      }
      assert.equal(serving.streams.length, 1);
      assert.deepEqual(seen, Array<string>(3).fill('127.0.0.1 true'));
      agent.destroy();
      await serving.stop();
    });

    it('back-pressure: a handler that does not read stops the sender', needsNodeHttp, async () => {
      let incoming: IncomingMessage | null = null;
      const { serving } = await serveHttp((message, response) => {
        incoming = message;
        message.once('end', () => response.end('done'));
      });
      const { tls } = await securePeer(serving.port);
      tls.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${BODY_BYTES * 8}\r\n\r\n`);
      tls.write(Buffer.alloc(BODY_BYTES * 8));
      await eventually(() => incoming !== null, 'request');
      const { end } = await serving.stream();
      let settledAt = -1;
      while (settledAt !== end.total) {
        settledAt = end.total;
        await quiet(100);
      }
      assert.ok(end.total < BODY_BYTES, `the sender is stopped, after ${end.total}`);
      incoming!.resume();
      await once(tls, 'data');
      tls.destroy();
      await serving.stop();
    });

    it('answers what was read before, and says 400 to nonsense', async () => {
      const serving = await serve(transport, certificate);
      const server = createServer((_incoming, response) => response.end('fine'));
      serving.onOpened = (stream, end) => {
        const head = Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n');
        server.emit('connection', streamToDuplex(stream, head));
        head.fill(0);
        return tellBoth(stream.handler, end);
      };
      const good = await securePeer(serving.port);
      good.tls.write('\r\n');
      const [answer] = (await once(good.tls, 'data')) as [Buffer];
      assert.match(answer.toString(), /^HTTP\/1\.1 200 OK\r\n[^]*fine/);
      good.tls.write('this is no HTTP\r\n\r\n');
      const [refusal] = (await once(good.tls, 'data')) as [Buffer];
      assert.match(refusal.toString(), /^HTTP\/1\.1 400 Bad Request\r\n/);
      await eventually(() => good.tls.destroyed, 'closed after 400');
      await serving.stop();
    });

    it('closes idle keep-alive connections in time', needsNodeHttp, async () => {
      const { serving, server } = await serveHttp((_incoming, response) => response.end('fine'));
      server.keepAliveTimeout = 150;
      server.keepAliveTimeoutBuffer = 0;
      const { tls } = await securePeer(serving.port);
      tls.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      tls.resume();
      await eventually(() => tls.destroyed, 'idle connection closed', 2000);
      await serving.stop();
    });

    it('a peer that resets mid-request ends the Duplex without an uncaught error', async () => {
      const ends: string[] = [];
      const { serving } = await serveHttp((incoming) => {
        incoming.on('error', (error) => ends.push(error.message));
        incoming.on('close', () => ends.push('close'));
        incoming.resume();
      });
      const { tls, tcp } = await securePeer(serving.port);
      tls.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf');
      await eventually(() => serving.streams.length === 1, 'opened');
      await quiet(30);
      tcp.resetAndDestroy();
      await eventually(() => ends.includes('close'), 'request closed');
      await serving.stop();
    });

    it('destroy() aborts, end() finishes', async () => {
      const serving = await serve(transport, certificate);
      const peers = [await securePeer(serving.port), await securePeer(serving.port)];
      await eventually(() => serving.streams.length === 2, 'opened');
      const [first, second] = serving.streams.map((stream) => streamToDuplex(stream, NOTHING));
      first!.destroy();
      second!.end('bye');
      const [bye] = (await once(peers[1]!.tls, 'data')) as [Buffer];
      assert.equal(bye.toString(), 'bye');
      second!.resume();
      await eventually(
        () => peers.every(({ tls }) => tls.destroyed) && first!.destroyed && second!.closed,
        'all closed',
      );
      await serving.listener.close();
    });

    it('carries a WebSocket after an upgrade', async () => {
      const { serving, server } = await serveHttp((_incoming, response) => response.end('fine'));
      const sockets = new WebSocketServer({ noServer: true });
      server.on('upgrade', (incoming, socket, head) =>
        sockets.handleUpgrade(incoming, socket, head, (socketOfPeer) =>
          socketOfPeer.on('message', (data, isBinary) => socketOfPeer.send(data, { binary: isBinary })),
        ),
      );
      const client = new WebSocket(`wss://127.0.0.1:${serving.port}/derp`, { rejectUnauthorized: false });
      await once(client, 'open');
      for (const size of [0, 5, 70_000, 1_000_000]) {
        const message = Buffer.alloc(size, size % 251);
        client.send(message);
        const [echo] = (await once(client, 'message')) as [Buffer];
        assert.ok(echo.equals(message), `${size} bytes`);
      }
      client.close(1000);
      await once(client, 'close');
      await eventually(() => sockets.clients.size === 0, 'closed on the server');
      await serving.stop();
    });
  });
}

/** The Duplex's handler, with counts of its bytes and its end. */
function tellBoth(below: StreamHandler, end: Recorder): StreamHandler {
  return {
    bytes: (stream, buffer, from, to) => {
      end.total += to - from;
      below.bytes(stream, buffer, from, to);
    },
    writable: (stream) => below.writable(stream),
    closed: (stream, reason) => {
      end.closed(stream, reason);
      below.closed(stream, reason);
    },
  };
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

async function fetchBody(port: number, options: RequestOptions, body: Buffer): Promise<Answer> {
  const outgoing = request({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
  outgoing.end(body);
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) };
}
