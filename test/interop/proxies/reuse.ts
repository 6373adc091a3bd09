/**
 * Tests proxies that reuse a connection to the relay: each makes an ordinary request, then an upgrade on the same connection,
 * with TLS to the relay and without. Prints a line for each check.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sharedBoxKey } from '../../../src/wire/box.ts';
import { encodeFrame, FrameType } from '../../../src/wire/frames.ts';
import { encodeClientInfo } from '../../../src/wire/handshake.ts';
import { generateNodeKeyPair } from '../../../src/wire/keys.ts';
import { TestRelay } from '../../service/support.ts';
import { freePort } from '../../free-port.ts';

const PING = Buffer.from('abcdefgh');
const PONG = encodeFrame(FrameType.Pong, PING).toString('latin1');
const UPGRADE = 'GET /derp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n\r\n';
const PATIENCE_MS = 10_000;
let failures = 0;

const PROXIES: Readonly<
  Record<string, (front: number, relay: number, scheme: string, folder: string) => ChildProcess>
> = {
  nginx: (front, relay, scheme, folder) => {
    const file = path.join(folder, 'nginx.conf');
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${folder}/${name};`,
    );
    writeFileSync(
      file,
      `worker_processes 1; pid ${folder}/pid; error_log stderr error; events {}
http {
  access_log off; ${temporary.join(' ')}
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream relay { server 127.0.0.1:${relay}; keepalive 4; }
  server {
    listen 127.0.0.1:${front};
    location / {
      proxy_pass ${scheme}://relay; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}
`,
    );
    return spawn('nginx', ['-p', folder, '-c', file, '-g', 'daemon off; master_process off;'], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
  },
  haproxy: (front, relay, scheme, folder) => {
    const file = path.join(folder, 'haproxy.cfg');
    writeFileSync(
      file,
      `defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
listen relay
  bind 127.0.0.1:${front}
  option forwardfor
  http-reuse always
  server relay 127.0.0.1:${relay} ${scheme === 'https' ? 'ssl verify none' : ''}
`,
    );
    return spawn('haproxy', ['-db', '-q', '-f', file], { stdio: ['ignore', 'inherit', 'inherit'] });
  },
};

async function client(port: number): Promise<Socket> {
  for (const startedAt = performance.now(); ;) {
    const socket = connect({ host: '127.0.0.1', port });
    const open = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'close').then(() => false),
    ]).catch(() => false);
    if (open) return socket.on('error', () => undefined);
    if (performance.now() - startedAt > PATIENCE_MS) throw new Error('the proxy does not listen');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Writes, and waits until the answer contains `end`. */
async function until(socket: Socket, bytes: string | Buffer, end: string): Promise<string> {
  let text = '';
  const arrived = new Promise<string>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.includes(end)) resolve(text);
    });
    socket.once('close', () => reject(new Error(`closed after ${JSON.stringify(text)}`)));
    setTimeout(() => reject(new Error(`not in time: ${JSON.stringify(text)}`)), PATIENCE_MS).unref();
  });
  socket.write(bytes);
  return arrived;
}

async function check(name: string, scheme: string): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-reuse-'));
  const relay = await TestRelay.start(scheme === 'https' ? {} : { TOWPATH_TRANSPORT: 'plain' });
  const front = await freePort();
  const child = PROXIES[name]!(front, relay.port, scheme, folder);
  try {
    for (let round = 1; round <= 3; round++) {
      const first = await client(front);
      await until(first, 'GET /derp/probe HTTP/1.1\r\nHost: x\r\n\r\n', ' 200 ');
      first.destroy();
      const before = relay.relay.counters.tcpAccepts;
      const second = await client(front);
      const keys = generateNodeKeyPair();
      const sharedKey = sharedBoxKey(keys.privateKey, relay.relay.keyPair.publicKey);
      const info = encodeClientInfo({ publicKey: keys.publicKey, sharedKey, info: { version: 2, canAckPings: true } });
      await until(second, UPGRADE, ' 101 ');
      await until(second, Buffer.concat([info, encodeFrame(FrameType.Ping, PING)]), PONG);
      if (relay.relay.counters.tcpAccepts !== before) throw new Error('the proxy made a new connection');
      second.destroy();
    }
    console.log(`ok   ${name}, ${scheme}: an upgrade on a connection that is used again`);
  } catch (error) {
    failures++;
    console.log(`FAIL ${name}, ${scheme}: ${String(error)}`);
  } finally {
    child.kill('SIGKILL');
    await relay.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const name of Object.keys(PROXIES)) for (const scheme of ['https', 'http']) await check(name, scheme);
process.exitCode = failures === 0 ? 0 : 1;
