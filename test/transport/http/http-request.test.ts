import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { HttpFailure } from '../../../src/transport/http/failure.ts';
import { requestHttp, type HttpAnswer, type HttpRequest } from '../../../src/transport/http/request.ts';
import { freePort } from '../../free-port.ts';

const servers: Server[] = [];
const sockets = new Set<Socket>();
after(() => {
  for (const server of servers) server.close();
  for (const socket of sockets) socket.destroy();
});

/** A server that calls `serve` for each connection. */
async function serverOf(serve: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    serve(socket);
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A server that answers the first bytes of each connection with `text`, and then waits. */
function answering(text: string | Buffer, andEnds = false): Promise<number> {
  return serverOf((socket) =>
    socket.once('data', () => {
      socket.write(text);
      if (andEnds) socket.end();
    }),
  );
}

function get(port: number, options: Partial<HttpRequest> = {}): Promise<HttpAnswer> {
  return requestHttp({
    url: `http://127.0.0.1:${port}/a?b=1`,
    method: 'GET',
    headers: {},
    timeoutMs: 20_000,
    limitBytes: 4096,
    environment: null,
    ...options,
  });
}

const failureOf = async (answer: Promise<HttpAnswer>): Promise<HttpFailure> => {
  const error: unknown = await answer.then(
    ({ status }) => assert.fail(`it answered ${status}`),
    (failure: unknown) => failure,
  );
  assert.ok(error instanceof HttpFailure, String(error));
  return error;
};

const HEAD = 'HTTP/1.1 200 OK\r\n';
const OK = `${HEAD}Content-Length: 2\r\n\r\nok`;

describe('a request over HTTP', () => {
  it('gives status, headers and body, and keeps the connection', async () => {
    let connections = 0;
    const port = await serverOf((socket) => {
      connections++;
      socket.on('data', () => socket.write(`HTTP/1.1 404 No\r\nX-Y: 1\r\nContent-Length: 2\r\n\r\nok`));
    });
    for (let i = 0; i < 3; i++) {
      const { status, headers, body, isWhole } = await get(port);
      assert.deepEqual([status, headers.get('x-y'), body.toString(), isWhole], [404, '1', 'ok', true]);
    }
    assert.equal(connections, 1);
  });

  it('asks again over a new connection when a kept one has ended', async () => {
    let requests = 0;
    const port = await serverOf((socket) => {
      let isUsed = false;
      socket.on('data', () => {
        requests++;
        if (isUsed) socket.destroy();
        else socket.write(OK);
        isUsed = true;
      });
    });
    await get(port);
    assert.equal((await get(port)).status, 200);
    assert.equal(requests, 3);
  });

  it('cuts a body that is too long, and undoes gzip within the same bound', async () => {
    const long = await answering(`${HEAD}Content-Length: 5000\r\n\r\n${'x'.repeat(5000)}`);
    assert.equal((await get(long)).isWhole, false);
    const zipped = (text: string): Promise<number> => {
      const body = gzipSync(text);
      const head = `${HEAD}Content-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`;
      return answering(Buffer.concat([Buffer.from(head), body]));
    };
    assert.equal((await get(await zipped('hello'))).body.toString(), 'hello');
    assert.equal((await get(await zipped('x'.repeat(50_000_000)), { limitBytes: 100_000 })).isWhole, false);
  });

  const wrong: [string, Promise<number>][] = [
    ['no HTTP', answering('SSH-2.0-OpenSSH_9.9\r\n')],
    ['half a status line', answering('HTT', true)],
    ['half a head', answering(`${HEAD}Content-Le`, true)],
    ['a head without end', answering(`${HEAD}X: `)],
    ['a head that is too large', answering(`${HEAD}${`X-Y: ${'z'.repeat(1000)}\r\n`.repeat(200)}\r\n`)],
    ['too many headers', answering(`${HEAD}${'a: b\r\n'.repeat(60_000)}\r\n`)],
    ['a body that is cut short', answering(`${HEAD}Content-Length: 10\r\n\r\nok`, true)],
    ['a body that stops', answering(`${HEAD}Content-Length: 10\r\n\r\nok`)],
    ['chunks that are cut short', answering(`${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nab`, true)],
    ['chunks that are none', answering(`${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n`)],
    ['interim answers only', answering('HTTP/1.1 100 Continue\r\n\r\n'.repeat(1000))],
    ['one interim answer', answering('HTTP/1.1 103 Early Hints\r\n\r\n')],
    ['one interim answer and the end', answering('HTTP/1.1 102 Processing\r\n\r\n', true)],
    ['another protocol', answering('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n')],
    [
      'many content codings',
      answering(`${HEAD}Content-Encoding: ${'gzip, '.repeat(50)}gzip\r\nContent-Length: 2\r\n\r\nok`),
    ],
    ['a coding that is none', answering(`${HEAD}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok`)],
    ['two lengths', answering(`${HEAD}Content-Length: 2\r\nContent-Length: 3\r\n\r\nok`)],
    ['a negative length', answering(`${HEAD}Content-Length: -1\r\n\r\nok`)],
    ['a header that is none', answering(`${HEAD}X Y\r\n\r\n`)],
    ['HTTP/2', answering(Buffer.from('000012040000000000000300000064000400100000000600004000', 'hex'))],
    ['a TLS alert', answering(Buffer.from('15030100020246', 'hex'), true)],
  ];
  for (const [name, listening] of wrong) {
    it(`takes ${name} for an answer that is wrong, not for none`, async () => {
      const failure = await failureOf(get(await listening, { timeoutMs: 1000 }));
      assert.equal(failure.kind, 'answer', failure.message);
    });
  }

  const none: [string, Promise<string>][] = [
    ['a port on which nobody listens', freePort().then((port) => `http://127.0.0.1:${port}/`)],
    ['an unknown name', Promise.resolve('http://no-such-host.invalid/')],
    ['silence', serverOf(() => undefined).then((port) => `http://127.0.0.1:${port}/`)],
    ['silence on TLS', serverOf(() => undefined).then((port) => `https://127.0.0.1:${port}/`)],
    [
      'a connection that ends',
      serverOf((s) => void s.once('data', () => s.end())).then((p) => `http://127.0.0.1:${p}/`),
    ],
    ['a reset', serverOf((s) => void s.once('data', () => s.resetAndDestroy())).then((p) => `http://127.0.0.1:${p}/`)],
    [
      'an end during TLS',
      serverOf((s) => void s.once('data', () => s.destroy())).then((p) => `https://127.0.0.1:${p}/`),
    ],
  ];
  for (const [name, url] of none) {
    it(`has no answer at ${name}`, async () => {
      const failure = await failureOf(get(0, { url: await url, timeoutMs: 1000 }));
      assert.equal(failure.kind, 'unreachable', failure.message);
    });
  }

  it('takes a server that does not speak TLS for one that answers wrongly', async () => {
    const port = await answering('HTTP/1.1 400 Bad Request\r\n\r\n', true);
    assert.equal((await failureOf(get(0, { url: `https://127.0.0.1:${port}/` }))).kind, 'answer');
  });

  it('survives requests that cannot be made', async () => {
    const bad = { headers: { 'X-Y': 'a\r\nb' } };
    assert.equal((await failureOf(get(1, bad))).kind, 'local');
  });
});
