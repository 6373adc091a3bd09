import { createServer } from 'node:net';
import { once } from 'node:events';
import { connect } from 'node:tls';

/** Valid and nearly valid messages, from which the inputs are made. */

export const FAST_START =
  'GET /derp HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Go-http-client/1.1\r\nConnection: Upgrade\r\nDerp-Fast-Start: 1\r\nUpgrade: DERP\r\n\r\n';
export const UPGRADE: string = FAST_START.replace('Derp-Fast-Start: 1\r\n', '');
export const WEBSOCKET =
  'GET /derp HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: derp\r\n\r\n';

export const HEADS: readonly string[] = [
  FAST_START,
  UPGRADE,
  WEBSOCKET,
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n',
  'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef',
  'GET /generate_204 HTTP/1.1\r\nHost: a\r\nX-Tailscale-Challenge: ts_abc\r\n\r\n',
  'GET /bootstrap-dns?q=a%20b HTTP/1.1\r\nHost: a\r\n\r\n',
  'HEAD /derp/probe HTTP/1.1\r\nHost: [::1]:5\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
  'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n',
  `GET / HTTP/1.1\r\nHost: a\r\nA:${' '.repeat(7900)}\nx\r\n\r\n`,
  `GET / HTTP/1.1\r\nHost: a\r\nA: b${' '.repeat(7900)}c\r\n\r\n`,
  `GET / HTTP/1.1\r\nHost: a\r\n${'A: b\r\n'.repeat(700)}\r\n`,
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
];

export const CLIENT_INFOS: readonly string[] = [
  '{"version":2,"CanAckPings":true}',
  '{"version":2,"CanAckPings":true,"IsProber":true,"AppName":"x"}',
  '{"version":2,"VERSION":3,"vErsion":"x"}',
  '{"version":1e308}',
  '{"version":-0}',
  '{"version":9007199254740993}',
  '{"meshKey":""}',
  `{"meshKey":"${'a'.repeat(64)}"}`,
  '{"__proto__":{"meshKey":"a"},"constructor":{"prototype":1},"toString":1,"version":2}',
  '{"AppName":"\\u001b[31m"}',
  `{"AppName":"${'a'.repeat(33)}"}`,
  `{"AppName":"${'\\u0000\\ud800'.repeat(10_000)}"}`,
  '['.repeat(100_000),
  `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`,
  `{}${' '.repeat(200_000)}`,
  '\u00ff\u00fe{}',
  'null',
  '1',
  '""',
  '{}x',
  '',
];

const PROXY_V2 = '0d0a0d0a000d0a515549540a';
export const PROXY_HEADERS: readonly Buffer[] = [
  Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 4000 443\r\n'),
  Buffer.from('PROXY TCP6 2001:db8::7 2001:db8::1 4000 443\r\n'),
  Buffer.from('PROXY UNKNOWN\r\n'),
  Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}\r\n`),
  Buffer.from(`${PROXY_V2}2111000cc0000207c63364010fa001bb`, 'hex'),
  Buffer.from(`${PROXY_V2}20000000`, 'hex'),
  Buffer.from(`${PROXY_V2}21110014c0000207c63364010fa001bb0400050000000000`, 'hex'),
  Buffer.from(`${PROXY_V2}2111ffff`, 'hex'),
];

export const STUN_REQUEST: Buffer = Buffer.from(
  '000100142112a4420102030405060708090a0b0c802200087461696c6e6f646580280004b32c370f',
  'hex',
);

/** Returns ClientHellos of this runtime, with and without the protocol of ACME challenges. */
export async function clientHellos(): Promise<readonly Buffer[]> {
  const offers = [
    { ALPNProtocols: ['http/1.1'], servername: 'derp.example.com' },
    { ALPNProtocols: ['acme-tls/1'], servername: 'derp.example.com' },
    { ALPNProtocols: ['acme-tls/1'], servername: `${'a'.repeat(60)}.example.com` },
    { ALPNProtocols: ['h2', 'http/1.1'] },
    {},
  ];
  return Promise.all(offers.map((offer) => firstWrite(offer)));
}

async function firstWrite(offer: object): Promise<Buffer> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const client = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...offer });
  client.on('error', () => undefined);
  const [socket] = (await once(server, 'connection')) as [NodeJS.ReadableStream & { destroy(): void }];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  client.destroy();
  server.close();
  return bytes;
}
