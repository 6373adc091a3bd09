import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { TestRelay, untilClosed, within } from './support.ts';

/** Words that an answer to a stranger must not contain. */
const TELLTALE = /derp|tailscale|towpath|headscale|relay|node\.js/i;

const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13';
const UPGRADE = 'Connection: Upgrade\r\nUpgrade';

/** Requests of scanners, and of clients that do not know the protocol. */
const REQUESTS: readonly string[] = [
  'GET / HTTP/1.1\r\nHost: x',
  'GET / HTTP/1.0',
  'GET / HTTP/1.1',
  'HEAD / HTTP/1.1\r\nHost: x',
  'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc',
  'OPTIONS * HTTP/1.1\r\nHost: x',
  'TRACE / HTTP/1.1\r\nHost: x',
  'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443',
  'PROPFIND / HTTP/1.1\r\nHost: x',
  'GET http://example.com/ HTTP/1.1\r\nHost: example.com',
  'GET /robots.txt HTTP/1.1\r\nHost: x',
  'GET /favicon.ico HTTP/1.1\r\nHost: x',
  'GET /.env HTTP/1.1\r\nHost: x',
  'GET /.git/config HTTP/1.1\r\nHost: x',
  'GET /../../etc/passwd HTTP/1.1\r\nHost: x',
  'GET /metrics HTTP/1.1\r\nHost: x',
  'GET /debug/ HTTP/1.1\r\nHost: x',
  'GET /debug/varz HTTP/1.1\r\nHost: x',
  'GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: x',
  'GET /bootstrap-dns HTTP/1.1\r\nHost: x',
  'GET /generate_204 HTTP/1.1\r\nHost: x',
  'GET /derp HTTP/1.1\r\nHost: x',
  'GET /derp/ HTTP/1.1\r\nHost: x',
  'GET /derp/probe HTTP/1.1\r\nHost: x',
  'GET /derp/latency-check HTTP/1.1\r\nHost: x',
  'POST /derp/probe HTTP/1.1\r\nHost: x\r\nContent-Length: 0',
  `GET / HTTP/1.1\r\nHost: x\r\n${UPGRADE}: derp`,
  `GET /derpx HTTP/1.1\r\nHost: x\r\n${UPGRADE}: derp`,
  `GET /derp HTTP/1.1\r\nHost: x\r\n${UPGRADE}: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__`,
  `GET / HTTP/1.1\r\nHost: x\r\n${UPGRADE}: websocket\r\n${KEY}`,
  `GET /chat HTTP/1.1\r\nHost: x\r\n${UPGRADE}: websocket\r\n${KEY}\r\nSec-WebSocket-Protocol: chat`,
  `GET /derp HTTP/1.1\r\nHost: x\r\n${UPGRADE}: websocket\r\nSec-WebSocket-Protocol: derp`,
  'PRI * HTTP/2.0\r\n\r\nSM',
  'GET / HTTP/3.0',
  'GET / HTTP/1.1\r\nHost: x\r\nbroken header',
  'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2',
  'GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip',
  `GET / HTTP/1.1\r\nHost: x\r\nCookie: ${'a'.repeat(70_000)}`,
  'SSH-2.0-OpenSSH_9.6',
  'EHLO example.com',
  '\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00',
];

let relay: TestRelay;
before(async () => {
  // A scanner that waits gets an answer or is disconnected soon; Node's own answer to a slow head comes within two seconds more.
  relay = await TestRelay.start({ TOWPATH_LIMITS_REQUEST_HEAD_MS: '300' });
});
after(() => relay.stop());

async function answer(socket: Socket, request: string): Promise<string> {
  const whole = untilClosed(socket);
  socket.write(`${request}\r\n\r\n`, 'latin1');
  // The connection of a kept-alive answer must be ended by the test.
  socket.once('data', () => setImmediate(() => socket.end()));
  return (await whole).toString('latin1');
}

async function port80(): Promise<Socket> {
  const socket = connectTcp({ host: '127.0.0.1', port: relay.relay.addresses.http[0]!.port });
  socket.on('error', () => undefined);
  await within(once(socket, 'connect'), 'TCP');
  return socket;
}

/** Removes the parts that differ by time. */
function timeless(text: string): string {
  return text.replace(/^Date: .*\r\n/m, '');
}

describe('nothing says what this server is without a valid upgrade', { concurrency: true }, () => {
  for (const request of REQUESTS) {
    const name = JSON.stringify(request.length > 100 ? `${request.slice(0, 60)}…` : request);
    it(`TLS: ${name}`, async () => {
      const text = await answer(await relay.tls(), request);
      assert.doesNotMatch(text, TELLTALE);
    });
    it(`port 80: ${name}`, async () => {
      const text = await answer(await port80(), request);
      // A redirect repeats the path of the request, which the scanner knows already.
      assert.doesNotMatch(text.replace(/^Location: .*\r\n/m, ''), TELLTALE);
    });
  }

  it('bytes that are not TLS get no readable answer', async () => {
    const socket = await relay.tcp();
    const text = await answer(socket, 'GET / HTTP/1.1\r\nHost: x');
    assert.doesNotMatch(text, TELLTALE);
    assert.doesNotMatch(text, /HTTP/);
  });
});

describe('unknown paths', () => {
  const paths = ['/', '/a', '/derp', '/derp/x', '/robots.txt', '/bootstrap-dns', '/metrics', '/debug/varz', '/%64erp'];

  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']) {
    it(`have one and the same answer to ${method}, as an nginx without pages gives`, async () => {
      const answers = new Set<string>();
      for (const path of paths) {
        const request = `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close`;
        answers.add(timeless(await answer(await relay.tls(), request)));
      }
      assert.equal(answers.size, 1, [...answers].join('\n---\n'));
      assert.match([...answers][0]!, /^HTTP\/1\.1 404 Not Found\r\n/);
    });
  }
});
