import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { duplexPair } from 'node:stream';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { loadHomePage } from '../../src/http/home-page.ts';
import { createRelayHttpHandler } from '../../src/http/relay-handler.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { Counters } from '../../src/observe/counters.ts';
import { ask, exchange, listen } from './http-client.ts';

const { main, port80 } = createRelayHttpHandler({ home: loadHomePage({ mode: 'neutral' }) });

describe('HTTP server', () => {
  it('refuses CONNECT (§1.7), in neutral mode without the reference’s words', async (t) => {
    const bytes = 'CONNECT derp.example.com:443 HTTP/1.1\r\nHost: derp.example.com:443\r\n\r\n';
    const plain = await exchange(await listen(t, createHttpServer(main)), bytes);
    assert.match(plain, /^HTTP\/1\.1 403 Forbidden\r\n/);
    assert.match(plain, /CONNECT not enabled\n$/);
    const neutral = await exchange(await listen(t, createHttpServer(main, { neutral: () => true })), bytes);
    assert.match(neutral, /^HTTP\/1\.1 403 Forbidden\r\n/);
    assert.doesNotMatch(neutral, /enabled/);
  });

  it('gives upgrades of /derp to the upgrade listener and all others to the handler', async (t) => {
    const server = createHttpServer(main);
    const upgraded: (string | undefined)[] = [];
    server.on('upgrade', (request, socket) => {
      upgraded.push(request.headers.upgrade);
      socket.destroy();
    });
    const port = await listen(t, server);
    const upgrade = (path: string, protocol: string): Promise<string> =>
      exchange(port, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`);
    for (const protocol of ['DERP', 'derp', 'WebSocket']) assert.equal(await upgrade('/derp', protocol), '');
    assert.equal(await upgrade('/derp?x', 'derp'), '');
    assert.deepEqual(upgraded, ['DERP', 'derp', 'WebSocket', 'derp']);
    assert.match(await upgrade('/', 'DERP'), /^HTTP\/1\.1 404 /);
    assert.match(await upgrade('/derp', 'h2c'), /^HTTP\/1\.1 404 /);
    assert.equal(upgraded.length, 4);
  });

  it('treats an upgrade as an ordinary request while nobody listens for it', async (t) => {
    const port = await listen(t, createHttpServer(main));
    const headers = { Connection: 'Upgrade', Upgrade: 'DERP' };
    assert.equal((await ask(port, '/derp', { headers })).status, 404);
  });

  it('cuts heads that are too large, malformed or too slow, and counts them', async (t) => {
    const counters = new Counters();
    const port = await listen(t, createHttpServer(main, { counters }));
    const large = `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(9000)}\r\n\r\n`;
    assert.match(await exchange(port, large), /^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/);
    assert.match(await exchange(port, '\x16\x03\x01\x00\x00'), /^HTTP\/1\.1 400 Bad Request\r\n/);
    assert.match(
      await exchange(port, 'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'),
      / 400 /,
    );
    assert.equal(counters.refusals.head_too_large, 1);
    assert.equal(counters.refusals.head_invalid, 2);
    const slow = await listen(t, createHttpServer(main, { counters, headMs: 1 }));
    // Bun has no deadline of its own for a server that is given its connections: ours closes without an answer.
    const late = 'bun' in process.versions ? /^$/ : /^HTTP\/1\.1 408 Request Timeout\r\n/;
    assert.match(await exchange(slow, 'GET / HTTP/1.1\r\n'), late);
    assert.equal(counters.refusals.head_timeout, 1);
  });

  it('survives a reset in the middle of a request, on any duplex', async () => {
    const counters = new Counters();
    const server = createHttpServer(main, { counters });
    const [client, socket] = duplexPair();
    server.emit('connection', socket);
    client.write('GET / HT');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.destroy(new Error('reset'));
    await closed;
    assert.equal(counters.refusals.head_invalid, 0);
  });

  it('answers over a duplex that is no socket', async () => {
    const [client, socket] = duplexPair();
    createHttpServer(main).emit('connection', socket);
    client.end('GET /derp/probe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const chunk of client.setEncoding('latin1')) text += String(chunk);
    assert.match(text, /^HTTP\/1\.1 200 OK\r\nAccess-Control-Allow-Origin: \*\r\nContent-Length: 0\r\n/);
  });

  it('serves several requests on one connection', async (t) => {
    const port = await listen(t, createHttpServer(main));
    const socket = connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    for (let i = 0; i < 3; i++) {
      socket.write('GET /derp/probe HTTP/1.1\r\nHost: x\r\n\r\n');
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      assert.match(chunk.toString(), /^HTTP\/1\.1 200 /);
    }
  });

  it('answers or closes whatever it is sent, and goes on', async (t) => {
    const ports = [await listen(t, createHttpServer(main)), await listen(t, createHttpServer(port80))];
    const target = fc.oneof(
      fc.webUrl(),
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom('*', '/', '//', '/?', '/%'),
    );
    const head = fc
      .tuple(
        fc.constantFrom('GET', 'POST', 'OPTIONS', 'TRACE', 'X'),
        target,
        fc.string({ unit: 'binary', maxLength: 20 }),
      )
      .map(([method, path, host]) => `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    await fc.assert(
      fc.asyncProperty(fc.oneof(head, fc.string({ unit: 'binary', minLength: 1 })), async (bytes) => {
        for (const port of ports) await exchange(port, `${bytes}\r\n\r\n\x00`);
      }),
      { numRuns: 60 },
    );
    for (const port of ports) assert.equal((await ask(port, '/generate_204')).status, 204);
  });
});
